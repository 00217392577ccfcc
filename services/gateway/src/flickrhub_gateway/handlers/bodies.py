"""Reads a request's body, and says of every wrong field what is wrong with it."""

from collections.abc import Container
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from flickrhub_common.errors import InvalidRequest, UnsupportedMediaType
from flickrhub_common.json_text import parse_request
from flickrhub_gateway.handlers.request_limits import admit

M = TypeVar("M", bound=BaseModel)

MAX_FIELDS = 64
MAX_QUERY = 32
MAX_SENTENCES = 50
MAX_NAME_SHOWN = 64

_PHRASES = {
    "missing": "is required",
    "extra_forbidden": "isn't a field of this call",
    "string_type": "must be a string",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} character(s)",
    "too_long": "must have at most {max_length} characters",
}


async def json_body(request: Request) -> dict[str, Any]:
    """The body as a JSON object, its user counted. Raises UnsupportedMediaType, InvalidRequest, PayloadTooLarge or
    RateLimited. No call has nearly as many fields as are let through, and each wrong one takes time.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise InvalidRequest("The body ended before its end.") from error
    given = parse_request(body)
    await admit(request, given.get("user_id"))
    if len(given) > MAX_FIELDS:
        raise InvalidRequest(f"The body has more than {MAX_FIELDS} fields.")
    return given


def query_of(request: Request, *, only: Container[str] | None = None) -> dict[str, str]:
    """What stands in the URL's query, or of it what has one of these names. Raises InvalidRequest for too much of it,
    and for a name with two different values.
    """
    given = [pair for pair in request.query_params.multi_items() if only is None or pair[0] in only]
    if len(given) > MAX_QUERY:
        raise InvalidRequest(f"The query has more than {MAX_QUERY} parts.")
    found = dict(given)
    torn = dict.fromkeys(name for name, value in given if found[name] != value)
    if torn:
        raise InvalidRequest(details=[f"{_path((name,))}: is given twice" for name in torn])
    return found


def checked(model: type[M], value: dict[str, Any], context: object = None) -> M:
    """The value as a model. Raises InvalidRequest with a sentence for every wrong field, none repeating a value."""
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    target = value.get("target")
    shown = found[:MAX_SENTENCES]
    sentences = list(dict.fromkeys(f"{_path(item['loc'])}: {_what(item, target)}" for item in shown))
    if len(found) > MAX_SENTENCES:
        sentences.append(f"and {len(found) - MAX_SENTENCES} more")
    raise InvalidRequest(details=sentences)


def _path(loc: tuple[int | str, ...]) -> str:
    """``params.name``; pydantic marks an error in a key itself with a last part ``[key]``."""
    parts = [str(part) for part in loc if part != "[key]"]
    return ".".join(part if len(part) <= MAX_NAME_SHOWN else part[:MAX_NAME_SHOWN] + "…" for part in parts) or "body"


def _what(item: Any, target: Any) -> str:
    if item["type"] == "extra_forbidden" and len(item["loc"]) > 1:  # only these targets' params have names of ours
        return f"isn't a parameter of {target}"
    phrase = _PHRASES.get(item["type"])
    if phrase is None:
        return str(item["msg"]).removeprefix("Value error, ")
    return phrase.format(**item.get("ctx", {}))
