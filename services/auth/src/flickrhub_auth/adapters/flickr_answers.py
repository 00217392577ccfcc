"""What Flickr's OAuth answers mean: pure functions from status and body to a model or an error.

The bodies are those of facts about the live service: form-like text for the OAuth endpoints, failures included, and
JSON for ``flickr.auth.oauth.checkToken``.
"""

import json
import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import parse_qsl

from flickrhub_auth.errors import AppRefused, UnexpectedAnswer, VerifierRefused
from flickrhub_auth.models import Grant, RequestToken
from flickrhub_common.errors import HubError, UpstreamFailed
from flickrhub_common.logs import logger

log = logger(__name__)

LONGEST_VALUE = 512
PERMS = {"none", "read", "write", "delete"}

_APP_PROBLEMS = {"consumer_key_unknown", "consumer_key_rejected", "consumer_key_refused", "signature_invalid"}
_TOKEN_PROBLEMS = {
    "token_rejected",
    "token_expired",
    "token_used",
    "token_revoked",
    "verifier_invalid",
    "permission_unknown",
    "permission_denied",
}
# Only the first value is read: signature_invalid is followed by Flickr's base string, raw, with key and token in it.
_PROBLEM = re.compile(r"(?:^|&)oauth_problem=([a-z_]{1,40})(?:&|$)")


@dataclass(frozen=True)
class Answer:
    """A reply of Flickr's: which step it answers, its HTTP status and its body."""

    step: str
    status: int
    body: str


def request_token_of(answer: Answer) -> RequestToken:
    """Raises AppRefused or UpstreamFailed."""
    fields = _fields(answer, "oauth_token", "oauth_token_secret")
    return RequestToken(fields["oauth_token"], fields["oauth_token_secret"])


def grant_of(answer: Answer) -> Grant:
    """Raises VerifierRefused, AppRefused or UpstreamFailed."""
    fields = _fields(answer, "oauth_token", "oauth_token_secret", "user_nsid")
    return Grant(
        oauth_token=fields["oauth_token"],
        oauth_token_secret=fields["oauth_token_secret"],
        user_nsid=fields["user_nsid"],
        username=fields.get("username", ""),
        fullname=fields.get("fullname", ""),
    )


def perms_of(answer: Answer) -> str:
    """Raises UpstreamFailed, also for an API error."""
    if answer.status != 200:
        raise_failure(answer)
    try:
        perms = json.loads(answer.body)["oauth"]["perms"]["_content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        perms = None
    if not isinstance(perms, str) or perms not in PERMS:
        _unexpected(answer, "no perms in it")
    return perms


def raise_failure(answer: Answer) -> NoReturn:
    """Raise what an answer other than a success means."""
    found = _PROBLEM.search(answer.body)
    problem = found.group(1) if found else ""
    refusal = _refusal(problem) if answer.status in {400, 401, 403} else None
    if refusal is None:
        _unexpected(answer, problem)
    log.info("flickr_refused", step=answer.step, problem=problem)
    raise refusal


def _refusal(problem: str) -> HubError | None:
    if problem in _APP_PROBLEMS:
        return AppRefused()
    if problem in _TOKEN_PROBLEMS:
        return VerifierRefused()
    return None  # parameter_absent, timestamp_refused, nonce_used: ours or Flickr's fault, never the client's


def _fields(answer: Answer, *needed: str) -> dict[str, str]:
    if answer.status != 200:
        raise_failure(answer)
    try:
        fields = dict(parse_qsl(answer.body, keep_blank_values=True, max_num_fields=32))
    except ValueError:
        fields = {}
    if not all(0 < len(fields.get(name, "")) <= LONGEST_VALUE for name in needed):
        _unexpected(answer, "fields are absent")
    return fields


def _unexpected(answer: Answer, what: str) -> NoReturn:
    raise UpstreamFailed from UnexpectedAnswer(f"{answer.step}: HTTP {answer.status} {what}".rstrip())
