"""What Flickr's answer means: a pure function over the facts.

Flickr answers errors with HTTP 200, JSON where XML was asked and the reverse, HTML from the balancers in front, and
OAuth problems as forms; so the body is looked at first, then the status (facts/flickr.md, 1.4, 2.3 to 2.7, 3).
"""

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from flickrhub_common.json_text import NotJson, compact
from flickrhub_executor.errors import CallFailed, PermanentFailure, TokenDead, TransientFailure
from flickrhub_executor.methods import ALREADY_DONE, TRANSIENT_CODES
from flickrhub_executor.models import FlickrReply

TRANSIENT_ANYWHERE = frozenset({0, 105, 106, 201})
TOKEN_DEAD_CODE = 98
_NOT_AVAILABLE = re.compile(r"not (currently )?available( at this time)?\.?$", re.IGNORECASE)
_SORRY = b"Flickr API service is not currently available"
_XML_ERROR = re.compile(rb'<err\s+code="(\d{1,9})"\s+msg="([^"]{0,2000})')
_OAUTH_PROBLEM = re.compile(rb"(?:^|&)oauth_problem=([a-z_]{1,60})")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]+")
_DONE = '{"stat":"ok"}'
_OK_LAST, _OK_FIRST = ',"stat":"ok"}', '{"stat":"ok"'
_LONGEST_QUOTE = 200
_CODES = range(10**9)
_PATIENCE = frozenset({418, 503})
"""Statuses that say that nothing was done: Flickr, or a balancer in front of it, isn't taking calls."""

_OAUTH_TRANSIENT = frozenset({"timestamp_refused", "nonce_used"})
_OAUTH_DEAD = frozenset({"token_rejected", "token_revoked", "token_expired"})


@dataclass(frozen=True)
class Success:
    """Flickr's answer as compact JSON text."""

    flickr: str


def judge(reply: FlickrReply, *, method: str, repeated: bool) -> Success:
    """The answer, or the failure it stands for. ``repeated``: an earlier attempt may have had its effect.

    Raises TransientFailure, PermanentFailure or TokenDead.
    """
    try:
        return _judge(reply, method=method, repeated=repeated)
    except TransientFailure as failure:
        failure.retry_after = reply.retry_after
        raise


def _judge(reply: FlickrReply, *, method: str, repeated: bool) -> Success:
    body = reply.body.removeprefix(b"\xef\xbb\xbf").strip()
    if body.startswith(b"{"):
        return _judge_json(body, reply, method=method, repeated=repeated)
    if body.startswith(b"<"):
        if match := _XML_ERROR.search(body):
            message = html.unescape(match[2].decode(errors="replace"))
            return _judge_code(int(match[1]), message, reply, method=method, repeated=repeated)
    elif match := _OAUTH_PROBLEM.search(body):
        raise _failure_of_oauth(match[1].decode())
    raise failure_of_status(reply)


def _judge_json(body: bytes, reply: FlickrReply, *, method: str, repeated: bool) -> Success:
    try:
        text = compact(body.rstrip(b", \r\n"))  # error 201 was seen with a comma behind it
    except NotJson:
        raise failure_of_status(reply) from None
    fine = 200 <= reply.status < 300
    if fine and (text.endswith(_OK_LAST) or text.startswith(_OK_FIRST)):
        return Success(text)  # where Flickr puts it, and in compact JSON surely the outermost: no second parsing
    parsed: dict[str, Any] = json.loads(text)
    if fine and parsed.get("stat") == "ok":
        return Success(text)
    if parsed.get("stat") == "fail":
        code, message = number(parsed.get("code")), parsed.get("message")
        said = message if isinstance(message, str) else ""
        return _judge_code(code, said, reply, method=method, repeated=repeated)
    raise failure_of_status(reply)


def _judge_code(code: int | None, message: str, reply: FlickrReply, *, method: str, repeated: bool) -> Success:
    if repeated and code in ALREADY_DONE.get(method, frozenset()):
        return Success(_DONE)
    if code is None and not 200 <= reply.status < 300:
        raise failure_of_status(reply)
    raise failure_of_code(code, message, method=method, status=reply.status)


def failure_of_code(code: int | None, message: str, *, method: str, status: int) -> CallFailed:
    """What one of Flickr's errors stands for; ``status`` is that of HTTP."""
    said = _UNPRINTABLE.sub(" ", message[: 2 * _LONGEST_QUOTE])[:_LONGEST_QUOTE].strip() or "no message"
    outline = f"Flickr answered with error {code}" if code is not None else "Flickr answered with an error"
    public = f"FLICKR_{code}" if code is not None else "ERR_FLICKR_BAD_REPLY"
    if _passes(code, said, method=method, status=status):
        return TransientFailure(f"{outline}: {said}", code=public, outline=outline)
    kind = TokenDead if code == TOKEN_DEAD_CODE else PermanentFailure
    return kind(f"{outline}: {said}", code=public, outline=outline)


def _passes(code: int | None, said: str, *, method: str, status: int) -> bool:
    """Whether a later attempt may succeed; a status of the kind that passes makes any code one that does."""
    if status in _PATIENCE or status == 429 or status >= 500:
        return True
    return code in TRANSIENT_ANYWHERE | TRANSIENT_CODES.get(method, frozenset()) or bool(_NOT_AVAILABLE.search(said))


def _failure_of_oauth(problem: str) -> CallFailed:
    """Only the problem's name is passed on: the rest (debug_sbs) holds keys and tokens."""
    sentence = f"Flickr refused the signature or token: {problem}"
    if problem in _OAUTH_TRANSIENT:
        return TransientFailure(sentence, code="ERR_FLICKR_OAUTH")
    if problem in _OAUTH_DEAD:
        return TokenDead(sentence, code="ERR_FLICKR_OAUTH")
    return PermanentFailure(sentence, code="ERR_FLICKR_OAUTH")


def failure_of_status(reply: FlickrReply) -> CallFailed:
    """What an answer stands for whose body says nothing."""
    status = reply.status
    if status == 429:
        return TransientFailure("Flickr asks for patience (HTTP 429).", code="ERR_FLICKR_RATE_LIMITED")
    if _SORRY in reply.body or status in _PATIENCE:
        return TransientFailure(f"Flickr is not available (HTTP {status}).", code="ERR_FLICKR_UNAVAILABLE")
    if status >= 500 or status == 408:
        return TransientFailure(f"Flickr failed (HTTP {status}).", code="ERR_FLICKR_UNAVAILABLE", doubtful=True)
    if 200 <= status < 300:
        return TransientFailure("Flickr's answer can't be read.", code="ERR_FLICKR_BAD_REPLY", doubtful=True)
    return PermanentFailure(f"Flickr refused the call (HTTP {status}).", code="ERR_FLICKR_BAD_REPLY")


def number(code: Any) -> int | None:
    """A code, also when it came as text; None for what can't be one."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    return code if type(code) is int and code in _CODES else None
