"""The table of moves as a machine: events of several runs, doubled, late and in any order."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flickrhub_common.contracts import Failure, JobCompleted, JobFailed, JobReplayed, JobRetrying, Target
from flickrhub_common.json_text import compact
from flickrhub_gateway.models import JobReport, Result, Retention, State, change_of, returnvalue_of
from tests.unit.gateway.fakes import NOON, USER, FakeJobs, a_job

KEEP = Retention(completed_days=0, failed_days=0)
Event = JobCompleted | JobFailed | JobRetrying | JobReplayed


def an_event(kind: str, replay: int, attempt: int) -> Event:
    """What an executor, or the tool for dead letters, says of this run."""
    job: dict[str, Any] = {"job_id": "j1", "user_id": USER, "target": Target.REST, "trace_id": a_job().trace_id}
    if kind == "replayed":
        return JobReplayed(**job, at=NOON, replay=replay + 1)
    told: dict[str, Any] = {**job, "at": NOON, "replay": replay, "attempts_made": attempt, "max_attempts": 3}
    if kind == "retrying":
        return JobRetrying(**told, reason="Flickr answered 105.", next_attempt_at=NOON + timedelta(seconds=1))
    if kind == "failed":
        return JobFailed(**told, failure=Failure(message="No.", code="FLICKR_1"))
    return JobCompleted(**told, from_cache=False, flickr='{"stat":"ok"}', http_status=200, duration_ms=attempt)


events = st.builds(
    an_event,
    st.sampled_from(["retrying", "retrying", "completed", "failed", "failed", "replayed"]),
    st.integers(0, 3),
    st.integers(1, 3),
)


class AnyOrder(RuleBasedStateMachine):
    """One job, told of by whoever, whenever."""

    @initialize()
    def accept(self) -> None:
        self.jobs = FakeJobs()
        self.jobs.hold(a_job())
        self.told: list[Event] = []
        self.effects: Counter[str] = Counter()
        self.seen = (State.QUEUED, 0, 0)

    @rule(event=events)
    def tell(self, event: Event) -> None:
        self.told.append(event)
        self._apply(event)

    @rule(data=st.data())
    def tell_again(self, data: st.DataObject) -> None:
        if self.told:
            self._apply(data.draw(st.sampled_from(self.told)))

    def _apply(self, event: Event) -> None:
        before = self._now()
        applied = self.jobs.apply_now(change_of(event, now=NOON, retention=KEEP))
        assert applied or self._now() == before
        self.effects[repr(event)] += applied
        assert self.effects[repr(event)] <= 1
        assert not self.jobs.apply_now(change_of(event, now=NOON, retention=KEEP))

    def _now(self) -> tuple[State, int, int]:
        kept = self.jobs.kept["j1"]
        return kept.state, kept.replays, kept.attempts

    @invariant()
    def only_forwards(self) -> None:
        before, after = self.seen, self._now()
        self.seen = after
        assert after[1] >= before[1]
        if before[0] is State.COMPLETED:
            assert after == before
        if before[0] is State.FAILED and after[0] is not State.FAILED:
            assert after[1] > before[1]
        if after[0] is State.QUEUED:
            assert (after[1] > before[1]) or after == before
        if (before[0], after[0]) == (State.RETRYING, State.RETRYING) and before[1] == after[1]:
            assert after[2] >= before[2]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=20)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_reply_of_flickrs_goes_into_the_status_unchanged(value: Any) -> None:
    text = compact(json.dumps(value).encode())
    result = Result(flickr=text, from_cache=False, http_status=200, duration_ms=1)
    job = a_job()
    report = JobReport(
        id=job.id,
        target=job.target,
        state=State.COMPLETED,
        attempts=1,
        trace_id=job.trace_id,
        result=result,
        failure=None,
    )
    shown = returnvalue_of(report)
    assert f'"flickr":{text},' in shown
    assert json.loads(shown)["flickr"] == json.loads(text)
    assert compact(text) == text
