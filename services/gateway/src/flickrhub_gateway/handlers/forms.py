"""How the OpenAPI document says what a value must look like, where Python's types can't say it.

What no schema can express (the size of `meta`, addresses that aren't public, ids that must be known) is in the fields'
descriptions; the patterns are ECMAScript's, as JSON Schema wants them.
"""

from typing import Any

from flickrhub_common.addresses import MAX_URL_LENGTH
from flickrhub_gateway.handlers.values import MAX_ID_DIGITS, MAX_TAGS

Form = dict[str, Any]

MAX_NAME = 128
MAX_PARAMS = 500
MAX_SECRET = 512
REFUSED_NAMES = (
    *("method", "format", "nojsoncallback", "api_key"),
    # Not in the contract, but they could only harm: the old authentication beside OAuth, and JSON turned to script.
    *("api_sig", "auth_token", "jsoncallback"),
)
_INT64: Form = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_BASE64 = "[A-Za-z0-9+/]"

METHOD: Form = {
    "type": "string",
    "pattern": r"^flickr(\.[A-Za-z][A-Za-z0-9_]*)+$",
    "maxLength": MAX_NAME,
}
CALLED_URL: Form = {
    "type": "string",
    "format": "uri",
    "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://",
    "maxLength": MAX_URL_LENGTH,
}
SECRET: Form = {
    "type": "string",
    "format": "password",
    "writeOnly": True,
    "minLength": 1,
    "maxLength": MAX_SECRET,
    # Any text, or whsec_ and base64; padding may be missing.
    "pattern": f"^(?!whsec_)|^whsec_({_BASE64}{{4}})*({_BASE64}{{2}}|{_BASE64}{{3}}|{_BASE64}{{4}})=*$",
}
PARAM_NAME: Form = {
    "minLength": 1,
    "maxLength": MAX_NAME,
    "pattern": "^(?![Oo][Aa][Uu][Tt][Hh]_)",
    "not": {"enum": list(REFUSED_NAMES)},
}
_SINGLE: tuple[Form, ...] = ({"type": "string"}, _INT64, {"type": "number"}, {"type": "boolean"})
PARAM_VALUE: Form = {"anyOf": [*_SINGLE, {"type": "array", "items": {"anyOf": list(_SINGLE)}}]}
UUID: Form = {"type": "string", "format": "uuid"}
PHOTO_ID: Form = {
    "anyOf": [{"type": "string", "pattern": f"^[0-9]{{1,{MAX_ID_DIGITS}}}$"}, {**_INT64, "minimum": 0}],
}
# Python's white space: wider than ECMAScript's \\s.
_SPACE = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
LONGEST_WALKED = 256
_CONTROL = r"\x00-\x1f\x7f-\x9f"
WALKED: Form = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_WALKED,
    "pattern": f"^[^{_CONTROL}]*[^{_CONTROL}{_SPACE}][^{_CONTROL}]*$",
}
"""What goes through the OAuth walk: keys, tokens, verifiers."""
_TAG = f'[^"]*[^"{_SPACE}][^"]*'
TAGS: Form = {
    "anyOf": [
        {"type": "string", "pattern": f'^[{_SPACE}]*(("{_TAG}"|[^"{_SPACE}]+)([{_SPACE}]+|$))*$'},
        {"type": "array", "maxItems": MAX_TAGS, "items": {"type": "string", "pattern": f"^{_TAG}$"}},
    ]
}


def or_null(form: Form) -> Form:
    """The same, or null, which is as good as leaving the field out."""
    return {"anyOf": [form, {"type": "null"}]}


def one_of(values: list[Any]) -> Form:
    """One of these, or null."""
    return {"enum": [*values, None]}


def exactly_one(names: tuple[str, ...]) -> Form:
    """An object with exactly one of these fields; null counts as left out."""
    return {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}
