"""The search of the canary test finds a secret in every form that it claims to know."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.support.canaries import Search

SECRET = 'a "canary"/ü+&= x'
FORMS: dict[str, Callable[[str], str]] = {
    "in clear": str,
    "hex": lambda text: text.encode().hex(),
    "base64 of it": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of more": lambda text: base64.b64encode(b"user:" + text.encode() + b"@host").decode(),
    "base64url of more": lambda text: base64.urlsafe_b64encode(b"user" + text.encode() + b"!").decode(),
    "percent-encoded": lambda text: quote(text, safe=""),
    "as a form": quote_plus,
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON": json.dumps,
    "JSON, unescaped": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "a repr": repr,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_every_form_is_found(form: Callable[[str], str], tmp_path: Path) -> None:
    search = Search({"it": SECRET, "another": "another canary"}, scratch=tmp_path)
    content = b"\x00\xffbefore" + form(SECRET).encode() + b"after\n\x00"
    assert search.in_bytes(content) == {"it"}
    folder = tmp_path / "below"
    folder.mkdir()
    (folder / "a file").write_bytes(content)
    (folder / "another").write_bytes(b"nothing here")
    assert await search.in_files([folder]) == {str(folder / "a file"): {"it"}}


def test_bytes_are_looked_for_too(tmp_path: Path) -> None:
    search = Search({"key": bytes(range(100, 132))}, scratch=tmp_path)
    assert search.in_bytes(b"x" + bytes(range(100, 132))) == {"key"}
    assert search.in_bytes(base64.b64encode(b"xx" + bytes(range(100, 132)))) == {"key"}
