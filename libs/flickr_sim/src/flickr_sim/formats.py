"""Turn one internal form into the formats Flickr answers in.

The internal form is the JSON one: members, `_content` for an element's text, lists for repeated elements. The XML
form follows by the mapping Flickr documents: scalar members are attributes, objects and list items are child elements
(https://www.flickr.com/services/api/response.json.html). Whitespace follows recorded answers: first level flush left,
deeper levels one tab each.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from flickr_sim.answers import TEXT, Answer
from flickr_sim.errors import ApiError

Payload = dict[str, Any]

JSON_TYPE = "application/json"
JAVASCRIPT_TYPE = "text/javascript; charset=utf-8"
XML_TYPE = "text/xml; charset=utf-8"

_XML_HEAD = '<?xml version="1.0" encoding="utf-8" ?>\n'
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_XML_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CALLBACK_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.\[\]]{0,200}\Z")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_TEXT_ESCAPES = {ord(sign): _ESCAPES[sign] for sign in "&<>\r"}
_ATTRIBUTE_ESCAPES = {ord(sign): escape for sign, escape in _ESCAPES.items()}


def known(name: str) -> bool:
    """Say whether a `format` parameter names a format that is simulated ("" is the default, rest)."""
    return name in ("", "rest", "json")


def success(fields: Mapping[str, str], payload: Payload) -> Answer:
    """Render the answer of a method that worked; `stat` comes last in JSON."""
    if fields.get("format") == "json":
        return _json_answer(fields, {**payload, "stat": "ok"}, JSON_TYPE)
    lines = [_XML_HEAD, '<rsp stat="ok">\n']
    for name, value in payload.items():
        _append_member(lines, name, value, 0)
    lines.append("</rsp>\n")
    return _xml_answer(lines)


def failure(fields: Mapping[str, str], error: ApiError) -> Answer:
    """Render an API error: HTTP 200 in any format; JSON failures were recorded as text/plain."""
    if fields.get("format") == "json":
        return _json_answer(fields, {"stat": "fail", "code": error.code, "message": error.message}, TEXT)
    message = _escaped(error.message, _ATTRIBUTE_ESCAPES)
    lines = [_XML_HEAD, f'<rsp stat="fail">\n\t<err code="{error.code}" msg="{message}" />\n']
    for name, value in error.details.items():
        _append_element(lines, name, {"_content": value}, depth=1)
    return _xml_answer([*lines, "</rsp>\n"])


def _json_answer(fields: Mapping[str, str], payload: Payload, content_type: str) -> Answer:
    body = json.dumps(payload, separators=(",", ":"))
    if fields.get("nojsoncallback") == "1":
        return Answer(200, body.encode("ascii"), content_type)
    callback = fields.get("jsoncallback", "")
    name = callback if _CALLBACK_NAME.match(callback) else "jsonFlickrApi"
    return Answer(200, f"{name}({body})".encode("ascii"), JAVASCRIPT_TYPE)


def _xml_answer(lines: list[str]) -> Answer:
    return Answer(200, "".join(lines).encode("utf-8", "replace"), XML_TYPE)


def _append_member(lines: list[str], name: str, value: Any, depth: int) -> None:
    if not _XML_NAME.match(name):
        return  # only test.echo can get here: a parameter whose name is no XML name has no XML form
    for item in value if isinstance(value, list) else [value]:
        _append_element(lines, name, item if isinstance(item, dict) else {"_content": item}, depth)


def _append_element(lines: list[str], name: str, members: Payload, depth: int) -> None:
    start = ["\t" * depth, "<", name]
    children: list[tuple[str, Any]] = []
    content = ""
    for key, value in members.items():
        if key == "_content":
            content = _escaped(_scalar(value), _TEXT_ESCAPES)
        elif isinstance(value, (dict, list)):
            if value != []:
                children.append((key, value))
        else:
            start.append(f' {key}="{_escaped(_scalar(value), _ATTRIBUTE_ESCAPES)}"')
    lines.extend(start)
    if not children:
        lines.append(f">{content}</{name}>\n" if content else " />\n")
        return
    lines.append(f">{content}\n")
    for key, value in children:
        _append_member(lines, key, value, depth + 1)
    lines.append("\t" * depth + f"</{name}>\n")


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _escaped(value: str, escapes: dict[int, str]) -> str:
    return _XML_ILLEGAL.sub("", value).translate(escapes)
