"""Logs: one JSON object a line, or readable lines on a terminal; the current trace and job on every one of them."""

import contextlib
import json
import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

import structlog
from opentelemetry import trace

from flickrhub_common.settings import Settings

_SECRET_NAME = re.compile(
    r"secret|password|authorization|api_token|verifier|encryption|oauth_token|sealed", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s\"']+@")
_SIGNED_URL = "x-amz-(?:signature|credential|security-token)"
_NAME = rf"(oauth_\w+|api_key|\w*secret|\w*password|\w*api_token|encryption_keys|{_SIGNED_URL})"
_NAMED = re.compile(_NAME + r"(=[\"']?|[\"']\s*:\s*[\"'])[^&\s\"']+", re.IGNORECASE)
_NAMED_ENCODED = re.compile(_NAME + r"(%3D)(?:(?!%26)[^&\s\"'])+", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)(\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_HARMLESS = re.compile(r"[\w.:+-]*")
"""Ids, times, names of methods: nothing that any of the patterns above could match, so they needn't be tried."""

Event = MutableMapping[str, Any]


def scrub(text: str) -> str:
    """Text without credentials in URLs and headers, and without values that the name before them says are secret."""
    if _HARMLESS.fullmatch(text):
        return text
    text = _CREDENTIALS.sub("…@", text)
    for pattern in (_NAMED, _NAMED_ENCODED, _BEARER):
        text = pattern.sub(r"\1\2…", text)
    return text


def _redact(_: Any, __: str, event: Event) -> Event:
    for name, value in event.items():
        event[name] = _clean(name, value)
    return event


def _clean(name: str, value: Any) -> Any:
    """A value as it may be shown: nothing under the name of a secret, all text scrubbed, at any depth."""
    if _is_secret(name):
        return "…"
    if isinstance(value, str):
        return scrub(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner) for inner in value]
    return scrub(repr(value))


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _drop_colours(_: Any, __: str, event: Event) -> Event:
    """Uvicorn sends each of its lines a second time, with terminal colours in it."""
    event.pop("color_message", None)
    return event


def _add_trace(_: Any, __: str, event: Event) -> Event:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", trace.format_trace_id(context.trace_id))
    return event


_json = json.JSONEncoder(default=repr).encode


def _as_json(_: Any, __: str, event: Event) -> str:
    return _json(event)


def _whole(last: Sequence[structlog.types.Processor]) -> structlog.types.Processor:
    """The end of a line's way, which nothing that is logged can break: it would break what the line is about."""

    def finish(bound: Any, name: str, event: Event) -> str:
        line: Any = event
        try:
            for processor in last:
                line = processor(bound, name, line)
        except Exception as error:  # noqa: BLE001 - whatever the repr of a stranger's object raises
            return _json({"event": "line_not_logged", "error": type(error).__name__})
        return str(line)

    return finish


class _StandardOutput:
    """Where lines of ours go; one that can't be written is lost, and disturbs nobody."""

    def __init__(self, *_: Any) -> None:
        self._stream = sys.stdout

    def msg(self, line: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more; closed
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def configure(settings: Settings, *, service: str) -> None:
    """Send everything, also what libraries log, through one set of processors to standard output.

    What libraries log comes by the standard library's loggers. Our own lines don't: there are some for every job, and
    that way each takes twice the time.
    """

    def _add_service(_: Any, __: str, event: Event) -> Event:
        event["service"] = service
        event["service_env"] = settings.service_env
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service,
        _add_trace,
    ]
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stdout.isatty())
    last: list[structlog.types.Processor] = (
        [structlog.processors.format_exc_info, _redact, _as_json]
        if as_json
        else [structlog.processors.format_exc_info, _redact, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    )
    structlog.configure(
        processors=[*shared, _whole(last)],
        logger_factory=_StandardOutput,
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level.lower()),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _drop_colours, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    _quieten()


def _quieten() -> None:
    """Libraries that log secrets at DEBUG (oauthlib), or a line per request or reconnect, say only what matters."""
    for name in (
        "oauthlib",
        "httpx2",
        "httpcore2",
        "urllib3",
        "uvicorn.access",
        "pymongo",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("aio_pika", "aiormq"):  # a lost connection with its traceback: `link` says it in a line
        logging.getLogger(name).setLevel(logging.ERROR)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger; call it with an event's name in snake_case and its fields."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return bound
