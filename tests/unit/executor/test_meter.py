"""What the executor counts of what: kinds of ends, all of them known, and nothing of a client's in a label."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flickrhub_common.contracts import Failure, JobCompleted, JobFailed, JobRequested, Target
from flickrhub_common.metrics import OTHER, Metrics
from flickrhub_executor.adapters.meter import (
    CALLS,
    ENDED,
    EXECUTOR_METRICS,
    FINISH_SECONDS,
    PrometheusMeter,
    call_outcome,
    job_outcome,
)
from flickrhub_executor.errors import CallFailed, PermanentFailure, TokenDead, TransientFailure
from tests.support.metrics_pages import Series, figure, series_of
from tests.support.run_env import ROOT

AT = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)


def job(target: Target = Target.REST, **fields: Any) -> JobRequested:
    common = {"job_id": "j", "user_id": "u", "target": target, "trace_id": "t", "accepted_at": AT}
    return JobRequested(**common | fields)


def event(**fields: Any) -> dict[str, Any]:
    common = {"job_id": "j", "user_id": "u", "target": Target.REST, "trace_id": "t", "attempts_made": 1}
    return common | {"max_attempts": 3, "at": AT + timedelta(seconds=2), **fields}


def completed(*, from_cache: bool = False) -> JobCompleted:
    return JobCompleted(**event(), from_cache=from_cache, flickr="{}", http_status=200, duration_ms=1)


def failed(code: str | None) -> JobFailed:
    return JobFailed(**event(), failure=Failure(message="m", code=code))


def series_after(*acts: Any) -> Series:
    metrics = Metrics(EXECUTOR_METRICS)
    meter = PrometheusMeter(metrics)
    for act in acts:
        act(meter)
    return series_of(metrics.render().decode())


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (completed(), "completed"),
        (completed(from_cache=True), "cached"),
        (failed("FLICKR_1"), "flickr_refused"),
        (failed("FLICKR_105"), "flickr_unavailable"),
        (failed("FLICKR_98"), "token_rejected"),
        (failed("ERR_TOKEN_NOT_FOUND"), "not_connected"),
        (failed("ERR_PHOTO_TIMEOUT"), "photo"),
        (failed("ERR_OUTCOME_UNKNOWN"), "outcome_unknown"),
        (failed("ERR_INTERNAL"), "internal"),
        (failed("FLICKR_1; drop"), OTHER),
        (failed("anything"), OTHER),
        (failed(None), OTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_kind_of_a_jobs_end(outcome: JobCompleted | JobFailed, kind: str) -> None:
    assert job_outcome(outcome) == kind


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (PermanentFailure("m", code="FLICKR_1"), "refused"),
        (TransientFailure("m", code="FLICKR_105"), "busy"),
        (TokenDead("m", code="FLICKR_98"), "token_rejected"),
        (TokenDead("m", code="ERR_FLICKR_OAUTH"), "token_rejected"),
        (PermanentFailure("m", code="ERR_FLICKR_OAUTH"), "signature_refused"),
        (TransientFailure("m", code="ERR_FLICKR_RATE_LIMITED"), "rate_limited"),
        (TransientFailure("m", code="ERR_FLICKR_TIMEOUT"), "timeout"),
        (TransientFailure("m", code="ERR_PHOTO_UNREACHABLE"), "photo"),
        (PermanentFailure("m", code=None), OTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_kind_of_a_calls_failure(failure: CallFailed, kind: str) -> None:
    assert call_outcome(failure) == kind


def test_no_code_that_the_executor_gives_a_job_is_of_an_unknown_kind() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "services" / "executor" / "src").rglob("*.py")]
    codes = {code for text in texts for code in re.findall(r'code="(ERR_[A-Z_]+)"', text)} | {"ERR_TOKEN_NOT_FOUND"}
    assert len(codes) > 10
    assert {code for code in codes if job_outcome(failed(code)) == OTHER} == set()


@pytest.mark.parametrize("method", ["flickr.evil", "", "x" * 9999, "flickr.photos.delete\n", None])
def test_a_method_nobody_knows_makes_no_series(method: str | None) -> None:
    before = series_after()
    after = series_after(lambda meter: meter.ended(job(method=method), completed()))
    assert after.keys() == before.keys()
    assert figure(after, ENDED.name, target="rest", outcome="completed", **{"class": "read"}) == 1


def test_a_write_is_a_write_and_an_upload_is_one() -> None:
    found = series_after(
        lambda meter: meter.ended(job(method="flickr.photos.delete"), completed()),
        lambda meter: meter.ended(job(Target.UPLOAD), completed()),
        lambda meter: meter.called("POST", seconds=None, failure=None),
    )
    assert figure(found, ENDED.name, target="rest", outcome="completed", **{"class": "write"}) == 1
    assert figure(found, ENDED.name, target="upload", outcome="completed", **{"class": "write"}) == 1
    assert figure(found, CALLS.name, outcome="ok", **{"class": "write"}) == 1


def test_a_job_is_measured_from_its_acceptance_unless_it_is_a_replay_or_from_before_that_was_said() -> None:
    def end(**fields: Any) -> Any:
        return lambda meter: meter.ended(job(**fields), completed())

    found = series_after(end(), end(replay=1), end(accepted_at=None))
    assert figure(found, f"{FINISH_SECONDS.name}_count", target="rest", state="completed") == 1
    assert figure(found, f"{FINISH_SECONDS.name}_sum", target="rest", state="completed") == 2
    assert figure(found, ENDED.name, target="rest", outcome="completed", **{"class": "read"}) == 3
