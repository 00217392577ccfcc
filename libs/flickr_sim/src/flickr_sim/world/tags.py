"""How Flickr reads, cleans and compares tags."""

import re

_QUOTED_OR_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')
_MACHINE = re.compile(r"([a-z][a-z0-9_]*):([a-z][a-z0-9_]*)=(.*)\Z", re.IGNORECASE | re.DOTALL)

TAGS_LIMIT = 75  # Flickr's limit per photo

MachineTerm = tuple[str, str, str]


def split(text: str) -> list[str]:
    """Split what a user typed: words by spaces, several words in double quotes."""
    found = (quoted or word for quoted, word in _QUOTED_OR_WORD.findall(text))
    return [raw.strip() for raw in found if raw.strip()]


def is_machine(raw: str) -> bool:
    """Say whether a tag has the form namespace:predicate=value."""
    return _MACHINE.match(raw) is not None


def clean(raw: str) -> str:
    """Return the form tags are compared in: lower-case letters and digits (a machine tag keeps its `:` and `=`)."""
    parts = _MACHINE.match(raw)
    if parts is None:
        return _letters(raw)
    namespace, predicate, value = parts.groups()
    return f"{namespace.lower()}:{predicate.lower()}={_letters(value.strip(chr(34)))}"


def machine_term(text: str) -> MachineTerm | None:
    """Read one term of a machine-tag search: `ns:pred=value` with any part absent or `*`; None if it is no such term.

    An absent part comes back as "" and matches everything.
    """
    text = text.strip()
    if ":" not in text:
        return None
    namespace, _, rest = text.partition(":")
    predicate, _, value = rest.partition("=")
    if not all(part in ("", "*") or re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", part) for part in (namespace, predicate)):
        return None
    if namespace in ("", "*") and predicate in ("", "*") and not value:
        return None
    value = "" if value == "*" else _letters(value.strip('"'))
    return _part(namespace), _part(predicate), value


def matches(term: MachineTerm, cleaned: str) -> bool:
    """Say whether a cleaned machine tag fits a search term."""
    namespace, _, rest = cleaned.partition(":")
    predicate, _, value = rest.partition("=")
    return all(wanted in ("", have) for wanted, have in zip(term, (namespace, predicate, value), strict=True))


def _part(text: str) -> str:
    return "" if text == "*" else text.lower()


def _letters(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())
