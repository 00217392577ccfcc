"""What Flickr's answer means: a pure function over the facts.

Flickr answers errors with HTTP 200, JSON where XML was asked and the reverse, HTML from the balancers in front, and
OAuth problems as forms; so the body is looked at first, then the status (facts/flickr.md, 1.4, 2.3 to 2.7, 3).
"""

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
_XML_ERROR = re.compile(rb'<err\s+code="(\d+)"\s+msg="([^"]*)"')
_OAUTH_PROBLEM = re.compile(rb"^oauth_problem=([a-z_]+)")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\uffff]+")
_DONE = '{"stat":"ok"}'
_LONGEST_QUOTE = 200

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
    body = reply.body.strip()
    if match := _OAUTH_PROBLEM.match(body):
        raise _failure_of_oauth(match[1].decode())
    if match := _XML_ERROR.search(body):
        return _judge_code(int(match[1]), match[2].decode(errors="replace"), method=method, repeated=repeated)
    if body.startswith(b"{"):
        parsed = _parse(body)
        if parsed is not None and "stat" in parsed:
            return _judge_json(parsed, body, reply, method=method, repeated=repeated)
    raise _failure_of_status(reply)


def _judge_json(parsed: dict[str, Any], body: bytes, reply: FlickrReply, *, method: str, repeated: bool) -> Success:
    if parsed["stat"] == "ok" and 200 <= reply.status < 300:
        return Success(compact(body))
    if parsed["stat"] == "fail":
        message = parsed.get("message")
        return _judge_code(_number(parsed.get("code")), str(message or ""), method=method, repeated=repeated)
    raise _failure_of_status(reply)


def _judge_code(code: int | None, message: str, *, method: str, repeated: bool) -> Success:
    if repeated and code in ALREADY_DONE.get(method, frozenset()):
        return Success(_DONE)
    raise _failure_of(code, message, method=method)


def _failure_of(code: int | None, message: str, *, method: str) -> CallFailed:
    said = _UNPRINTABLE.sub(" ", message)[:_LONGEST_QUOTE].strip() or "no message"
    sentence = f"Flickr answered with error {code}: {said}" if code is not None else f"Flickr answered with: {said}"
    public = f"FLICKR_{code}" if code is not None else "ERR_FLICKR_BAD_REPLY"
    if code == TOKEN_DEAD_CODE:
        return TokenDead(sentence, code=public)
    passing = code in TRANSIENT_ANYWHERE or code in TRANSIENT_CODES.get(method, frozenset())
    if passing or _NOT_AVAILABLE.search(said):
        return TransientFailure(sentence, code=public)
    return PermanentFailure(sentence, code=public)


def _failure_of_oauth(problem: str) -> CallFailed:
    """Only the problem's name is passed on: the rest (debug_sbs) holds keys and tokens."""
    sentence = f"Flickr refused the signature or token: {problem}"
    if problem in _OAUTH_TRANSIENT:
        return TransientFailure(sentence, code="ERR_FLICKR_OAUTH")
    if problem in _OAUTH_DEAD:
        return TokenDead(sentence, code="ERR_FLICKR_OAUTH")
    return PermanentFailure(sentence, code="ERR_FLICKR_OAUTH")


def _failure_of_status(reply: FlickrReply) -> CallFailed:
    status = reply.status
    if status == 429:
        return TransientFailure(
            "Flickr asks for patience (HTTP 429).", code="ERR_FLICKR_RATE_LIMITED", retry_after=reply.retry_after
        )
    if _SORRY in reply.body or status in {418, 503}:
        return TransientFailure(
            f"Flickr is not available (HTTP {status}).", code="ERR_FLICKR_UNAVAILABLE", retry_after=reply.retry_after
        )
    if status >= 500:
        return TransientFailure(f"Flickr failed (HTTP {status}).", code="ERR_FLICKR_UNAVAILABLE", doubtful=True)
    if 200 <= status < 300:
        return TransientFailure("Flickr's answer can't be read.", code="ERR_FLICKR_BAD_REPLY", doubtful=True)
    return PermanentFailure(f"Flickr refused the call (HTTP {status}).", code="ERR_FLICKR_BAD_REPLY")


def _parse(body: bytes) -> dict[str, Any] | None:
    """A JSON object, also with the trailing comma that Flickr was seen to send after error 201; else None."""
    try:
        compact(body.rstrip(b", \r\n"))
        parsed = json.loads(body.rstrip(b", \r\n"))
    except (NotJson, ValueError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _number(code: Any) -> int | None:
    try:
        return int(code)
    except (TypeError, ValueError):
        return None
