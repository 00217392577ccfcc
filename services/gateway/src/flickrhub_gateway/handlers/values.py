"""Checks of single values that a client sends; each raises ValueError with a phrase that repeats none of it."""

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from flickrhub_common.addresses import MAX_URL_LENGTH, AddressPolicy, RefusedUrl, check_url
from flickrhub_gateway.models import is_uuid
from flickrhub_gateway.uploads import InlinePhoto, inspect_inline

MAX_TAGS = 74
"""Flickr takes 75, and the hub adds one."""
MAX_ID_DIGITS = 20
MAX_EXACT = 2**53
"""Up to here every integer has a float of its own."""

_OUR_TAG = "flickrhub:job="
_TAG = re.compile(r'\s*(?:"([^"]*+)"|([^\s"]++))(?=\s|$)')


def plain(value: str) -> str:
    """A text that shows: not blank, no control characters (auth and Flickr take no other)."""
    if not value.strip():
        raise ValueError("must not be blank")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("must not hold control characters")
    return value


def plain_secret(value: SecretStr) -> SecretStr:
    """The same of a secret."""
    plain(value.get_secret_value())
    return value


def callable_url(url: str, policy: AddressPolicy) -> str:
    """A URL the hub may call, by the policy."""
    # A longer one is refused too, but not kept: a thousand that fill their bodies would take a gigabyte.
    why = _refusal(url, policy) if len(url) <= MAX_URL_LENGTH else _refusal.__wrapped__(url, policy)
    if why is not None:
        raise PydanticCustomError("refused_url", "{why}", {"why": why})
    return url


@lru_cache(maxsize=1024)  # thousands of jobs have the same callback_url
def _refusal(url: str, policy: AddressPolicy) -> str | None:
    try:
        check_url(url, policy)
    except RefusedUrl as error:
        return str(error)
    return None


def flag(value: Any) -> str | None:
    """0 or 1."""
    if value is None or (isinstance(value, str) and value in {"0", "1"}):
        return value
    value = _integral(value)
    if not isinstance(value, int) or value not in {0, 1}:  # a bool is an int
        raise ValueError("must be 0, 1, true or false")
    return str(int(value))


def _integral(value: Any) -> Any:
    """1.0 is 1: JSON has one kind of numbers, and some writers put a point into each."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT
    return int(value) if whole else value


def number_up_to(most: int) -> Callable[[Any], str | None]:
    """A check for a number from 1 to ``most``, or its digit."""
    digits = [str(number) for number in range(1, most + 1)]
    phrase = f"must be {', '.join(digits[:-1])} or {digits[-1]}"

    def check(value: Any) -> str | None:
        if value is None:
            return None
        value = _integral(value)
        if isinstance(value, bool) or not isinstance(value, int | str) or str(value) not in digits:
            raise ValueError(phrase)
        return str(value)

    return check


def photo_id(value: Any) -> str:
    """The id of a photo at Flickr, as text."""
    value = _integral(value)
    text = str(value) if isinstance(value, int | str) else ""  # "True" has no digits
    if not re.fullmatch(rf"[0-9]{{1,{MAX_ID_DIGITS}}}", text):
        raise ValueError(f"must be a photo's id: up to {MAX_ID_DIGITS} digits")
    return text


def tags_text(value: Any) -> str | None:
    """Flickr's form of the tags: separated by spaces, several words in double quotes."""
    if value is None:
        return None
    if isinstance(value, str):
        _check_tags(_split(value))
        return value.strip() or None
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ValueError("must be a string or a list of strings")
    if any('"' in tag for tag in value):
        raise ValueError("a tag can't hold a double quote")
    _check_tags(value)
    words = (tag.strip() for tag in value)
    return " ".join(f'"{tag}"' if re.search(r"\s", tag) else tag for tag in words) or None


def _split(text: str) -> list[str]:
    """The tags of a text, or so many of them that there are too many."""
    tags: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end and len(tags) <= MAX_TAGS:
        found = _TAG.match(text, at)
        if found is None:
            raise ValueError("double quotes must stand around whole tags")
        tags.append(found[1] if found[2] is None else found[2])
        at = found.end()
    return tags


def _check_tags(tags: list[str]) -> None:
    if len(tags) > MAX_TAGS:
        raise ValueError(f"must be at most {MAX_TAGS}: Flickr takes 75, and the hub adds one")
    if not all(tag.strip() for tag in tags):
        raise ValueError("a tag must not be empty")
    if any(re.sub(r"[^a-z0-9:=]", "", tag.lower()).startswith(_OUR_TAG) for tag in tags):
        raise ValueError(f"{_OUR_TAG} is the hub's own tag and can't be given")


def upload_ref(value: str) -> str:
    """A photo_ref as the hub writes it."""
    if not is_uuid(value):
        raise ValueError("must be a photo_ref as POST /api/v1/uploads gives it")
    return value.lower()


def inline_photo(value: Any) -> InlinePhoto | None:
    """A photo in base64, whole."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - what pydantic turns into a wrong field
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64 of the standard alphabet, padded") from error
    return inspect_inline(data)
