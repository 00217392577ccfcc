"""JSON text as it comes from outside and as it goes out: strict on the way in, compact and unescaped on the way out."""

import codecs
import json
import math
import re
from typing import Any, NoReturn

from flickrhub_common.errors import InvalidRequest

MAX_DEPTH = 32
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)


class NotJson(ValueError):
    """The text isn't JSON that can be passed on; the message says why in one phrase."""


def dump(value: Any) -> str:
    """Compact JSON, keys in their order, UTF-8 unescaped. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def compact(text: bytes | str) -> str:
    """Somebody else's JSON, its values untouched, as compact text that any reader takes. Raises NotJson.

    Lone surrogates, which no UTF-8 text can hold, become U+FFFD.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        return _LONE_SURROGATE.sub("\ufffd", dump(value))
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    except ValueError as error:
        raise NotJson(str(error) if isinstance(error, NotJson) else "not valid JSON") from error


def parse_request(body: bytes) -> dict[str, Any]:
    """A client's body: a JSON object that Mongo, AMQP and any reader can hold.

    Refused with InvalidRequest: broken JSON, encodings but UTF-8, anything but an object, a name twice in one
    object, NaN and infinities, nesting beyond 32 levels, NUL characters, lone surrogates and integers outside 64 bits.
    """
    try:
        # Decoded here: given bytes, json would guess UTF-16 and UTF-32 too.
        value = _REQUESTS.decode(str(body.removeprefix(codecs.BOM_UTF8), "utf-8"))
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    except NotJson as error:
        raise InvalidRequest(f"The body can't be taken: {error}.") from error
    except ValueError as error:
        raise InvalidRequest("The body isn't valid JSON.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.")
    _walk(value)
    return value


def _walk(root: dict[str, Any]) -> None:
    """Check every value without recursion, so that depth itself can't hurt."""
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.keys())
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            else:
                _check_leaf(value)
        if not below:
            return
        level = below
    raise InvalidRequest("The body is nested too deeply.")


def _check_leaf(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidRequest("The body holds a NUL character.")
        if _LONE_SURROGATE.search(value):
            raise InvalidRequest("The body holds half of a surrogate pair.")
    elif isinstance(value, int) and value not in _INT64:
        raise InvalidRequest("The body holds an integer beyond 64 bits.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # readers differ in which one they take: what was checked must be what is done
        raise NotJson("a name comes twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} isn't JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJson("a number is too large")
    return number


# Made once: json.dumps and json.loads make theirs anew for every text that isn't of their usual kind.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_REQUESTS = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
