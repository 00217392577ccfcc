"""What executors count, for operators: the definitions, and the port ``Meter`` on them."""

import re

from flickrhub_common.contracts import JobFailed, JobRequested, Target
from flickrhub_common.method_classes import CLASSES, class_of
from flickrhub_common.metrics import OTHER, Across, Label, Metrics, Sample, counter, gauge, histogram
from flickrhub_executor.adapters.redis_limits import KEYS_REMEMBERED, RedisLimits
from flickrhub_executor.errors import CallFailed
from flickrhub_executor.models import Outcome
from flickrhub_executor.ports import Meter

JOB_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
CALL_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 60, 300, 1200)
MOST_KEYS, KEY_CHARACTERS = 20, 8

_TARGET = Label("target", tuple(target.value for target in Target))
_CLASS = Label("class", CLASSES)
_OUTCOMES = (
    "completed",
    "cached",
    "flickr_refused",
    "flickr_unavailable",
    "token_rejected",
    "not_connected",
    "photo",
    "outcome_unknown",
    "internal",
)
_ANSWERS = (
    "ok",
    "refused",
    "busy",
    "rate_limited",
    "unavailable",
    "timeout",
    "unreachable",
    "bad_reply",
    "token_rejected",
    "signature_refused",
    "photo",
)

ENDED = counter(
    "flickrhub_jobs_ended_total",
    "Jobs whose outcome is stored, once for each run of a job. `completed` by Flickr's answer, `cached` by one from"
    " before; failed for good because Flickr refused the call (`flickr_refused`) or didn't take it in any attempt"
    " (`flickr_unavailable`), because of the account (`token_rejected`, `not_connected`) or the photo (`photo`), as"
    " nobody knows what Flickr did (`outcome_unknown`), or by a fault of ours (`internal`).",
    _TARGET,
    _CLASS,
    Label("outcome", _OUTCOMES),
)
FINISH_SECONDS = histogram(
    "flickrhub_job_seconds",
    "From a job's acceptance (202) to its stored outcome, waits and retries included, without replays. By the clocks of"
    " two machines.",
    _TARGET,
    Label("state", ("completed", "failed")),
    buckets=JOB_SECONDS,
)
RETRIES = counter(
    "flickrhub_job_retries_total",
    "Attempts that failed and are repeated; the looks and polls of uploads aren't.",
    _TARGET,
)
CALLS = counter(
    "flickrhub_flickr_calls_total",
    "Calls and uploads to Flickr by what came of them: `ok`; an error of Flickr's that stays (`refused`) or passes"
    " (`busy`); HTTP 429 (`rate_limited`), 5xx (`unavailable`), no answer in time (`timeout`), no connection"
    " (`unreachable`), nothing readable (`bad_reply`); a dead token (`token_rejected`), any other OAuth problem"
    " (`signature_refused`); or the photo's source failed on the way (`photo`). `class` is `write` for POSTs.",
    _CLASS,
    Label("outcome", _ANSWERS),
)
CALL_LATENCY = histogram(
    "flickrhub_flickr_call_seconds",
    "How long Flickr took to answer, whatever it answered; calls without an answer aren't in it. An upload's includes"
    " sending the photo.",
    _CLASS,
    buckets=CALL_SECONDS,
)
WAITS = counter(
    "flickrhub_turn_waits_total",
    "Times a job was sent to wait for its turn, in its user's lane (`user`) or for a place in its api key's budget"
    " (`key`); `other` if its turn was beyond the delay ladder's reach.",
    Label("limit", ("user", "key")),
)
WAIT_SECONDS = counter(
    "flickrhub_turn_wait_seconds_total",
    "For how long these jobs were sent to wait, together.",
    Label("limit", ("user", "key")),
)
LOOKUPS = counter(
    "flickrhub_cache_lookups_total",
    "Questions to the cache of Flickr's answers; jobs whose method is never cached don't ask.",
    Label("result", ("hit", "miss")),
)
REJECTED = counter("flickrhub_tokens_rejected_total", "Times Flickr said that a connection's token is dead.")
BUDGET_LEFT = gauge(
    "flickrhub_budget_left_calls",
    "Calls an api key may make now before its jobs wait for the hour to pass. `key` is the beginning of its SHA-256"
    f" (`printf %s KEY | sha256sum | cut -c1-{KEY_CHARACTERS}`); of the first {KEYS_REMEMBERED} keys that this"
    f" process has met within two hours {MOST_KEYS} are shown, and of the others the least as `other`.",
    Label("key", most=MOST_KEYS),
    across=Across.MIN,
)
BUDGET = gauge(
    "flickrhub_budget_calls",
    "Calls an api key may make in any hour, FLICKR_RATE_LIMIT_PER_HOUR; 0 is no limit.",
    across=Across.MAX,
)
EXECUTOR_METRICS = (
    ENDED,
    FINISH_SECONDS,
    RETRIES,
    CALLS,
    CALL_LATENCY,
    WAITS,
    WAIT_SECONDS,
    LOOKUPS,
    REJECTED,
    BUDGET_LEFT,
    BUDGET,
)

_FLICKR_CODE = re.compile(r"FLICKR_([0-9]{1,9})")
_PASSING = frozenset({"FLICKR_0", "FLICKR_105", "FLICKR_106", "FLICKR_201"})
_ENDS = {
    "FLICKR_98": "token_rejected",
    "ERR_FLICKR_OAUTH": "token_rejected",
    "ERR_TOKEN_NOT_FOUND": "not_connected",
    "ERR_OUTCOME_UNKNOWN": "outcome_unknown",
    "ERR_UPLOAD_NOT_PROCESSED": "flickr_refused",
    "ERR_FLICKR_RATE_LIMITED": "flickr_unavailable",
    "ERR_FLICKR_UNAVAILABLE": "flickr_unavailable",
    "ERR_FLICKR_UNREACHABLE": "flickr_unavailable",
    "ERR_FLICKR_TIMEOUT": "flickr_unavailable",
    "ERR_FLICKR_BAD_REPLY": "flickr_unavailable",
    "ERR_INTERNAL": "internal",
    "ERR_INVALID_REQUEST": "internal",
}
_CALL_ENDS = {
    "ERR_FLICKR_OAUTH": "signature_refused",
    "ERR_FLICKR_RATE_LIMITED": "rate_limited",
    "ERR_FLICKR_UNAVAILABLE": "unavailable",
    "ERR_FLICKR_UNREACHABLE": "unreachable",
    "ERR_FLICKR_TIMEOUT": "timeout",
    "ERR_FLICKR_BAD_REPLY": "bad_reply",
}


class PrometheusMeter(Meter):
    """Implements the port ``Meter``."""

    def __init__(self, metrics: Metrics) -> None:
        self._ended = metrics.counter(ENDED)
        self._seconds = metrics.histogram(FINISH_SECONDS)
        self._retries = metrics.counter(RETRIES)
        self._calls = metrics.counter(CALLS)
        self._latency = metrics.histogram(CALL_LATENCY)
        self._waits = metrics.counter(WAITS)
        self._wait_seconds = metrics.counter(WAIT_SECONDS)
        self._lookups = metrics.counter(LOOKUPS)
        self._rejected = metrics.counter(REJECTED)

    def called(self, http_method: str, *, seconds: float | None, failure: CallFailed | None) -> None:
        """A call to Flickr is over; ``seconds`` if there was an answer, ``failure`` unless it is the one wanted."""
        kind = "write" if http_method == "POST" else "read"
        self._calls.add(kind, "ok" if failure is None else call_outcome(failure))
        if seconds is not None:
            self._latency.observe(seconds, kind)

    def looked_up(self, *, found: bool) -> None:
        """The cache was asked."""
        self._lookups.add("hit" if found else "miss")

    def waits(self, limit: str, *, seconds: float) -> None:
        """A job was sent to wait for its turn."""
        self._waits.add(limit)
        self._wait_seconds.add(limit, amount=max(0.0, seconds))

    def retries(self, job: JobRequested) -> None:
        """An attempt is repeated."""
        self._retries.add(job.target.value)

    def token_rejected(self) -> None:
        """Flickr takes a token no more."""
        self._rejected.add()

    def ended(self, job: JobRequested, outcome: Outcome) -> None:
        """A run of a job has its outcome."""
        target = job.target.value
        self._ended.add(target, class_of(job.target, job.method), job_outcome(outcome))
        if job.accepted_at is not None and not job.replay:
            state = "failed" if isinstance(outcome, JobFailed) else "completed"
            self._seconds.lasted(job.accepted_at, outcome.at, target, state)


def watch_budgets(metrics: Metrics, limits: RedisLimits, *, per_hour: int) -> None:
    """Have it shown how many calls each api key has left."""
    left = metrics.gauge(BUDGET_LEFT)
    metrics.gauge(BUDGET).set(per_hour)

    async def take() -> None:
        found = list((await limits.left()).items())
        left.forget()
        for key, calls in found[:MOST_KEYS]:
            left.set(calls, key[:KEY_CHARACTERS])
        if found[MOST_KEYS:]:
            left.set(min(calls for _, calls in found[MOST_KEYS:]), OTHER)

    metrics.samples.append(Sample((left,), take))


def job_outcome(outcome: Outcome) -> str:
    """The kind of a job's end."""
    if not isinstance(outcome, JobFailed):
        return "cached" if outcome.from_cache else "completed"
    code = outcome.failure.code or ""
    if code in _ENDS:
        return _ENDS[code]
    if _FLICKR_CODE.fullmatch(code):
        return "flickr_unavailable" if code in _PASSING else "flickr_refused"
    return "photo" if code.startswith("ERR_PHOTO_") else "other"


def call_outcome(failure: CallFailed) -> str:
    """The kind of a call's failure."""
    code = failure.code or ""
    if failure.token_dead:
        return "token_rejected"
    if _FLICKR_CODE.fullmatch(code):
        return "busy" if failure.retryable else "refused"
    return "photo" if code.startswith("ERR_PHOTO_") else _CALL_ENDS.get(code, "other")
