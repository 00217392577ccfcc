"""What the notifier counts, for operators: the definitions, and the port ``Meter`` on them."""

from datetime import datetime

from flickrhub_common.metrics import Across, Label, Metrics, Sample, counter, gauge, histogram
from flickrhub_notifier.adapters.redis_endpoints import RedisEndpoints
from flickrhub_notifier.models import Answer, Delivery
from flickrhub_notifier.ports import Meter

_OUTCOMES = (
    "delivered",
    "redirected",
    "gone",
    "rate_limited",
    "http_4xx",
    "http_5xx",
    "timeout",
    "unreachable",
    "dns_error",
    "broken",
    "refused_address",
    "secret",
    "internal",
)
ENDS = ("delivered", "failed", "gone", "expired")
STATES = ("open", "probing", "asked_to_wait", "closed")
MOST_LINES = 200

ATTEMPTS = counter(
    "flickrhub_callback_attempts_total",
    "Attempts to deliver a callback by what came of them: `delivered` (2xx), `redirected` (3xx, never followed), `gone`"
    " (410), `rate_limited` (429), any other `http_4xx` or `http_5xx`; no whole answer in time (`timeout`), no"
    " connection (`unreachable`), no address (`dns_error`), no HTTP, or an end in the middle (`broken`); not sent,"
    " as the address or URL is refused (`refused_address`) or the secret can't be used (`secret`);"
    " or a fault of ours (`internal`).",
    Label("outcome", _OUTCOMES),
)
ATTEMPT_SECONDS = histogram(
    "flickrhub_callback_attempt_seconds",
    "How long an attempt took, whatever came of it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 60),
)
ENDED = counter(
    "flickrhub_callbacks_ended_total",
    "Callbacks that were `delivered`, or given up: after the last attempt (`failed`), told to (`gone`), or for their"
    " age (`expired`). Given up, they are in `callback_dlq`.",
    Label("outcome", ENDS),
)
CALLBACK_SECONDS = histogram(
    "flickrhub_job_callback_seconds",
    "From a job's acceptance (202) to its delivered callback, without replays. By the clocks of two machines.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400),
)
OPENED = counter(
    "flickrhub_breaker_openings_total",
    "Times an endpoint was shut for failures in a row, or again after a failed probe.",
)
BREAKERS = gauge(
    "flickrhub_breakers",
    "Endpoints with callbacks in line, by their breaker: `open` (left alone), `probing` (one attempt at a time"
    " decides), `asked_to_wait` (its `Retry-After`) or `closed` (its slots were all taken)."
    f" Of {MOST_LINES} lines at most.",
    Label("state", STATES),
    across=Across.MAX,
)
LINES = gauge("flickrhub_callback_lines", "Endpoints for which callbacks wait in line.", across=Across.MAX)
NOTIFIER_METRICS = (ATTEMPTS, ATTEMPT_SECONDS, ENDED, CALLBACK_SECONDS, OPENED, BREAKERS, LINES)

_ERRORS = {
    "timeout": "timeout",
    "too_slow": "timeout",
    "dns_error": "dns_error",
    "connection_refused": "unreachable",
    "connection_failed": "unreachable",
    "tls_error": "unreachable",
    "connection_reset": "broken",
    "protocol_error": "broken",
    "refused_address": "refused_address",
    "invalid_url": "refused_address",
    "secret_unreadable": "secret",
    "secret_unusable": "secret",
    "internal_error": "internal",
}
_STATUSES = {410: "gone", 429: "rate_limited"}
_HUNDREDS = {2: "delivered", 3: "redirected", 4: "http_4xx", 5: "http_5xx"}


class PrometheusMeter(Meter):
    """Implements the port ``Meter``."""

    def __init__(self, metrics: Metrics) -> None:
        self._attempts = metrics.counter(ATTEMPTS)
        self._attempt_seconds = metrics.histogram(ATTEMPT_SECONDS)
        self._ended = metrics.counter(ENDED)
        self._callback_seconds = metrics.histogram(CALLBACK_SECONDS)
        self._opened = metrics.counter(OPENED)

    def attempted(self, answer: Answer, *, seconds: float) -> None:
        """An attempt is over."""
        self._attempts.add(attempt_outcome(answer))
        self._attempt_seconds.observe(seconds)

    def ended(self, delivery: Delivery, outcome: str, *, at: datetime) -> None:
        """A delivery has ended. How long after its job was accepted, only its first round tells."""
        self._ended.add(outcome)
        replayed = delivery.replays or delivery.job_replay
        if outcome == "delivered" and delivery.accepted_at is not None and not replayed:
            self._callback_seconds.lasted(delivery.accepted_at, at)

    def shut(self) -> None:
        """An endpoint is left alone from now on."""
        self._opened.add()


def watch_endpoints(metrics: Metrics, endpoints: RedisEndpoints) -> None:
    """Have it shown for how many endpoints callbacks wait, and why."""
    breakers, lines = metrics.gauge(BREAKERS), metrics.gauge(LINES)

    async def take() -> None:
        lines.set(await endpoints.count_lines())
        found = await endpoints.states(most=MOST_LINES)
        for state in STATES:
            breakers.set(found.count(state), state)

    metrics.samples.append(Sample((breakers, lines), take))


def attempt_outcome(answer: Answer) -> str:
    """The kind of an attempt's end."""
    if answer.error is not None:
        return _ERRORS.get(answer.error, "other")
    status = answer.status or 0
    return _STATUSES.get(status) or _HUNDREDS.get(status // 100, "other")
