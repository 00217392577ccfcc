"""Logs: one JSON object a line, or readable lines on a terminal; the current trace and job on every one of them."""

import logging
import re
import sys
from collections.abc import MutableMapping
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
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner) for inner in value]
    return scrub(value if isinstance(value, str) else repr(value))


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


def configure(settings: Settings, *, service: str) -> None:
    """Send everything, also what libraries log, through one set of processors to standard output."""

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
        [structlog.processors.format_exc_info, _redact, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.processors.format_exc_info, _redact, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
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


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; call it with an event's name in snake_case and its fields."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound
