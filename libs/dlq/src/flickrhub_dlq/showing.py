"""Letters as an operator sees them: lines for people, objects for programs. No secret and no control character.

Of URLs only the origin is shown, as a path or query may be a key; of sealed secrets, that there is one. The values of a
call's params are its client's affair, and shown only when asked for.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flickrhub_common.contracts import Callback, CallbackDue, JobCompleted, JobFailed, JobRequested, TokenRejected
from flickrhub_dlq.letters import Letter

HEADING = "   no  buried (UTC)          attempts  replays  job                                   why"
_URLS = frozenset({"photo_url"})
_LONGEST_VALUE = 200


def plain(text: str) -> str:
    """Text without anything that a terminal would obey, on one line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def row(letter: Letter, *, twin_of: int | None) -> dict[str, Any]:
    """What a list says of a letter."""
    return {
        "position": letter.position,
        "dead_letter_queue": letter.dead_letter_queue,
        "queue": letter.queue or None,
        "type": letter.type,
        "job_id": letter.job_id or None,
        "reason": letter.reason,
        "code": letter.code or None,
        "endpoint": letter.endpoint or None,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "trace_id": letter.trace_id or None,
        "buried_at": letter.buried_at.isoformat() if letter.buried_at else None,
        "bytes": len(letter.body),
        "readable": letter.message is not None,
        "twin_of": twin_of,
    }


def line(letter: Letter, *, twin_of: int | None) -> str:
    """A letter in one line for people."""
    when = f"{letter.buried_at:%Y-%m-%d %H:%M:%S}" if letter.buried_at else "-"
    whose = f"at {letter.endpoint}" if letter.endpoint else ""
    why = " ".join(part for part in (letter.code, letter.reason or "no reason given", whose) if part)
    same = f" (the same as {twin_of})" if twin_of is not None else ""
    attempts = "-" if letter.attempts is None else str(letter.attempts)
    job = letter.job_id or "-"
    return plain(f"{letter.position:>5}  {when:<19}  {attempts:>8}  {letter.replays:>7}  {job:<36}  {why}{same}")


def as_json(fields: Mapping[str, Any]) -> str:
    """One line of JSON in ASCII, so that nothing in it can be a terminal's command."""
    return json.dumps(fields, default=str)


def block(letter: Letter, *, twin_of: int | None, params: bool) -> str:
    """Everything about a letter, for people."""
    fields = {**row(letter, twin_of=twin_of), **content(letter, params=params)}
    lines = [f"letter {letter.position} of {letter.dead_letter_queue}"]
    for name, value in fields.items():
        if value is not None and name not in {"position", "dead_letter_queue"}:
            lines.append(f"  {name:<12} {plain(value if isinstance(value, str) else as_json({'': value})[5:-1])}")
    return "\n".join(lines) + "\n"


def content(letter: Letter, *, params: bool) -> dict[str, Any]:
    """What the message in a letter says, as far as it may be shown; of an unreadable one, what tells it from others."""
    message = letter.message
    match message:
        case JobRequested():
            return {**_common(message), **_job(message, params=params)}
        case JobCompleted():
            return {**_common(message), "http_status": message.http_status, "reply_bytes": len(message.flickr)}
        case JobFailed():
            return {**_common(message), "failure": message.failure.message, "failure_code": message.failure.code}
        case CallbackDue():
            return {"job_replay": message.job_replay, "attempt": message.attempt}
        case TokenRejected():
            return {"user_id": message.user_id, "rejected_at": message.at.isoformat(), "rejected": message.reason}
        case None:
            return {"sha256": hashlib.sha256(letter.body).hexdigest()}
    return {}


def origin(url: str) -> str:
    """A URL's scheme, host and port; nothing of what may be a key."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "unreadable"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def _common(message: JobRequested | JobCompleted | JobFailed) -> dict[str, Any]:
    return {
        "user_id": message.user_id,
        "target": message.target.value,
        "callback": _callback(message.callback),
        "meta_bytes": None if message.meta is None else len(json.dumps(message.meta)),
    }


def _callback(callback: Callback | None) -> str | None:
    if callback is None:
        return None
    return f"{origin(callback.url)} ({'with' if callback.sealed_secret else 'without'} a secret)"


def _job(job: JobRequested, *, params: bool) -> dict[str, Any]:
    return {
        "method": job.method,
        "doubtful": job.doubtful,
        "step": job.progress.step if job.progress else None,
        "params": {name: _value(name, value) for name, value in job.params.items()} if params else list(job.params),
    }


def _value(name: str, value: Any) -> Any:
    if name in _URLS:
        return origin(str(value))
    return value if not isinstance(value, str) or len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"
