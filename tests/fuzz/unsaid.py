"""Rules of the gateway that its OpenAPI document can only tell in words, so that data which fits may still be refused.

A refusal of positive data is no failure if each of its sentences is one of these, and only then.
"""

import re
from collections import Counter
from typing import Any

from flickrhub_common.addresses import NO_HOST, NO_NAME, ODD_ADDRESS, REFUSED_ADDRESS

_URLS = (
    *(NO_HOST, NO_NAME, ODD_ADDRESS, REFUSED_ADDRESS, "isn't text"),
    *("holds a space, control character or backslash", "must not carry a user name or password"),
)
UNSAID = {
    # Which tokens, keys and photos there are is known when a request comes.
    "an OAuth token nobody has started with": r"ERR_INVALID_STATE: ",
    "an api_key Flickr doesn't know": r"ERR_INVALID_REQUEST: Flickr doesn't accept this api_key or api_secret\.$",
    "a photo_ref nobody was given": r"params\.photo_ref: (isn't|no longer|there is no)",
    "bytes that are no photo": r"(photo|params\.photo_base64): (is |must be base64)",
    # JSON Schema knows neither the size of a value as JSON nor its depth, nor 1e22 from the same written out.
    "meta over 16 KiB": r"meta: must be at most 16 KiB as compact JSON$",
    "nesting beyond 32 levels": r"ERR_INVALID_REQUEST: The body is nested too deeply\.$",
    "an integer beyond 64 bits": r"ERR_INVALID_REQUEST: The body holds an integer beyond 64 bits\.$",
    # The pattern of a URL says http(s); which host may be called is addresses.py's to say.
    "a URL the hub mustn't call": rf"(callback_url|params\.photo_url): ({'|'.join(map(re.escape, _URLS))})$",
    # It may be a field of the form or stand in the URL.
    "no user_id in the form nor in the URL, or two": r"user_id: (is required|was given twice, and not the same)$",
    "the hub's own tag": r"params\.tags: (flickrhub:job= is the hub's|must be at most)",
    "what follows whsec_": r"callback_secret: what follows whsec_ must",
}


def rules_broken(reply: Any) -> list[str] | None:
    """The rules above that a refusal names; None if it names anything else."""
    error = reply["error"]
    sentences = error.get("details") or [f"{error['code']}: {error['message']}"]
    found = [_rule(sentence) for sentence in sentences]
    return None if None in found else [rule for rule in found if rule]


def _rule(sentence: str) -> str | None:
    return next((rule for rule, pattern in UNSAID.items() if re.match(pattern, sentence)), None)


refused: Counter[str] = Counter()
"""How often each rule was the reason, in this process."""
