"""The OpenAPI document as one page for people: plain HTML, no script, nothing loaded from anywhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-top:1px solid #8884;padding-top:1.5rem}
code,pre{font-family:ui-monospace,monospace;font-size:.875rem}
pre{background:#8881;border-radius:.4rem;padding:.8rem;overflow-x:auto}
.method{background:#06c;color:#fff;border-radius:.3rem;padding:.1rem .5rem;margin-right:.5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8883}
summary{cursor:pointer}
"""


def docs_page(document: dict[str, Any]) -> str:
    """A whole HTML page that shows every call of the document with its fields, replies and examples."""
    info = document["info"]
    calls = [(method, path, call) for path, methods in document["paths"].items() for method, call in methods.items()]
    links = "".join(
        f'<li><a href="#{_anchor(method, path)}"><code>{method.upper()} {escape(path)}</code></a> '
        f"{escape(call.get('summary', ''))}</li>"
        for method, path, call in calls
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{_text(info.get('description', ''))}</p>"
        f'<p>The same for machines: <a href="/openapi.json"><code>/openapi.json</code></a>.</p><ul>{links}</ul>'
        f"{''.join(_call(method, path, call) for method, path, call in calls)}</body></html>"
    )


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}{path}".replace("/", "-"))


def _call(method: str, path: str, call: dict[str, Any]) -> str:
    bodies = call.get("requestBody", {}).get("content", {})
    replies = "".join(_reply(status, reply) for status, reply in sorted(call["responses"].items()))
    return (
        f'<section id="{_anchor(method, path)}"><h2><span class="method">{method.upper()}</span>'
        f"<code>{escape(path)}</code></h2><p>{_text(call.get('description', call.get('summary', '')))}</p>"
        f"{_fields(list(_parameters(call)))}{''.join(_body(*body) for body in bodies.items())}{replies}</section>"
    )


def _body(media_type: str, content: dict[str, Any]) -> str:
    """The fields of each form a body may have, then the examples."""
    schema = content["schema"]
    forms = "".join(
        f"<p>Body, <code>{escape(media_type)}</code>: {_text(form.get('description', 'the bytes as they are.'))}</p>"
        f"{_fields(list(_properties(form)))}"
        for form in schema.get("oneOf", [schema])
    )
    return forms + _examples(content, "Request")


def _parameters(call: dict[str, Any]) -> Iterator[tuple[str, bool, str]]:
    """Name, whether required, and description of what the caller says in the URL."""
    for parameter in call.get("parameters", []):
        yield parameter["name"], parameter.get("required", False), parameter.get("description", "")


def _properties(schema: dict[str, Any], under: str = "") -> Iterator[tuple[str, bool, str]]:
    """The same of what it sends in the body, with the fields of fields."""
    for name, field in schema.get("properties", {}).items():
        yield under + name, name in schema.get("required", []), field.get("description", "")
        yield from _properties(field, f"{under}{name}.")


def _fields(fields: list[tuple[str, bool, str]]) -> str:
    if not fields:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'required' if required else 'optional'}</td>"
        f"<td>{_text(description)}</td></tr>"
        for name, required, description in fields
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _reply(status: str, reply: dict[str, Any]) -> str:
    shown = _examples(reply.get("content", {}).get("application/json", {}), "Reply")
    return (
        f"<details><summary><strong>{escape(status)}</strong> {_text(reply['description'])}</summary>{shown}</details>"
    )


def _examples(content: dict[str, Any], label: str) -> str:
    named = {name: example["value"] for name, example in content.get("examples", {}).items()}
    if "example" in content:
        named["example"] = content["example"]
    return "".join(
        f"<p>{label}, <em>{escape(name)}</em></p><pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
        for name, value in named.items()
    )


def _text(markdown: str) -> str:
    """Escaped text in which `code` is code."""
    parts = escape(markdown).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
