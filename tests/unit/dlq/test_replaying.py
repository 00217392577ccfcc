"""What the replay of each kind of letter is."""

import json
from datetime import timedelta
from typing import Any

import pytest

from flickrhub_common.contracts import CallbackDue, JobReplayed, JobRequested, Reservation, Target, UploadProgress
from flickrhub_common.topology import EVENTS_EXCHANGE, JOBS_EXCHANGE, NOTIFIER_CALLBACKS_DUE
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.replaying import Post, Refusal, Replay, plan_replay
from tests.unit.dlq.letters import JOB_ID, NOW, a_due, a_job, an_end, unhandled

EARLIER = NOW - timedelta(seconds=1)


def posts(letter: Letter, *, even_if_unknown: bool = False) -> tuple[Post, ...]:
    plan = plan_replay(letter, even_if_unknown=even_if_unknown, now=NOW)
    assert isinstance(plan, Replay), plan
    return plan.posts


def replayed(letter: Letter, **how: Any) -> JobRequested:
    """The job's message as it goes out again."""
    return JobRequested.model_validate_json(posts(letter, **how)[-1].body)


def test_a_failed_job_is_announced_and_sent_as_its_next_run() -> None:
    job = a_job(replay=1, reservation=Reservation(limit="user", at=1.0))
    letter = an_end(job, traceparent="00-abc", tracestate=b"no text")
    announced, sent = posts(letter)
    assert (announced.exchange, announced.key) == (EVENTS_EXCHANGE, "job.replayed")
    event = JobReplayed.model_validate_json(announced.body)
    assert (event.job_id, event.replay, event.photo_ref, event.at) == (JOB_ID, 2, None, NOW)
    assert (sent.exchange, sent.key, sent.type, sent.correlation_id) == (JOBS_EXCHANGE, "rest", "job.requested", JOB_ID)
    again = JobRequested.model_validate_json(sent.body)
    assert again == job.model_copy(update={"replay": 2, "attempt": 1, "reservation": None})
    assert sent.headers == {"traceparent": "00-abc"}


def test_fields_of_a_later_version_stay() -> None:
    letter = an_end(a_job())
    body = json.dumps({**json.loads(letter.body), "from_the_future": {"a": [1]}}).encode()
    later = Letter(1, letter.dead_letter_queue, letter.type, body, letter.headers)
    assert json.loads(posts(later)[-1].body)["from_the_future"] == {"a": [1]}


@pytest.mark.parametrize("doubtful", [False, True])
def test_a_repeatable_write_keeps_its_doubt(doubtful: bool) -> None:
    assert replayed(an_end(a_job(doubtful=doubtful))).doubtful is doubtful


def test_a_call_that_flickr_may_have_done_stays_unless_the_operator_insists() -> None:
    letter = an_end(a_job(method="flickr.photosets.create", doubtful=True), code="ERR_OUTCOME_UNKNOWN")
    refused = plan_replay(letter, even_if_unknown=False, now=NOW)
    assert isinstance(refused, Refusal)
    assert "--even-if-unknown" in refused.why
    assert not replayed(letter, even_if_unknown=True).doubtful


LOOK = UploadProgress(step="look", sequence=9, asked=4, failed=2)
POLL = UploadProgress(step="poll", sequence=7, asked=3, ticket="t-1", dedup=False)


@pytest.mark.parametrize(
    ("given", "code", "step"),
    [
        ({}, "FLICKR_5", None),
        ({"doubtful": True}, "FLICKR_5", "look"),
        ({"progress": LOOK, "doubtful": True}, "ERR_OUTCOME_UNKNOWN", "look"),
        ({}, "ERR_OUTCOME_UNKNOWN", "look"),
        ({"progress": POLL}, "ERR_OUTCOME_UNKNOWN", "poll"),
        ({"progress": POLL}, "ERR_UPLOAD_NOT_PROCESSED", None),
    ],
    ids=["nothing sent", "a lost answer", "not found", "unknown", "a ticket pending", "a ticket failed"],
)
def test_an_upload_that_may_be_at_flickr_starts_by_asking(given: dict[str, Any], code: str, step: str | None) -> None:
    params = {"photo_ref": "ref-1", "title": "x"}
    letter = an_end(a_job(target=Target.UPLOAD, method=None, params=params, **given), code=code)
    announced, _ = posts(letter)
    assert JobReplayed.model_validate_json(announced.body).photo_ref == "ref-1"
    again = replayed(letter)
    assert (again.progress.step if again.progress else None) == step
    if again.progress is not None:
        assert (again.progress.sequence, again.progress.asked, again.progress.failed) == (1, 0, 0)
        assert again.progress.ticket == ("t-1" if step == "poll" else None)


@pytest.mark.parametrize("code", ["FLICKR_105", "ERR_OUTCOME_UNKNOWN"])
def test_a_replacement_is_simply_sent_again(code: str) -> None:
    letter = an_end(a_job(target=Target.REPLACE, method=None, progress=POLL, params={"photo_id": "1"}), code=code)
    assert replayed(letter).progress is None


def test_a_buried_callback_is_due_again_as_the_next_replay_of_the_same_delivery() -> None:
    (post,) = posts(an_end(a_due(replay=1)))
    assert (post.exchange, post.key) == ("", NOTIFIER_CALLBACKS_DUE)
    assert CallbackDue.model_validate_json(post.body) == a_due(replay=2, attempt=1)


@pytest.mark.parametrize(
    ("reason", "type_"),
    [("unreadable: body: json_invalid", "job.requested"), ("its handler crashed 5 times: KeyError", "job.completed")],
)
def test_a_message_nobody_could_handle_goes_back_as_it_is(reason: str, type_: str) -> None:
    letter = unhandled(b"\x00\xff", reason=reason, queue="flickr_rest", type_=type_, **{"x-crashes": 4, "mine": "yes"})
    (post,) = posts(letter)
    assert (post.exchange, post.key, post.body, post.type) == ("", "flickr_rest", b"\x00\xff", type_)
    assert post.headers == {"mine": "yes", "replays": 1}


def test_its_replays_are_counted() -> None:
    letter = unhandled(b"x", reason="unreadable: body", queue="flickr_rest", replays=3)
    assert posts(letter)[0].headers["replays"] == 4


def buried_by_rabbitmq(*, waited: bool) -> dict[str, Any]:
    """The headers that RabbitMQ 3.10 was seen to leave, also of a message that had come through the delay ladder."""
    death = {"count": 1, "exchange": "flickr.jobs", "queue": "flickr_rest", "reason": "delivery_limit", "time": NOW}
    wait = {"count": 1, "exchange": "flickr.delay", "queue": "flickr.delay.01", "reason": "expired", "time": EARLIER}
    first = wait if waited else death
    return {
        "x-death": [death, wait] if waited else [death],
        **{f"x-first-death-{name}": first[name] for name in ("exchange", "queue", "reason")},
        "x-delivery-count": 0,
    }


@pytest.mark.parametrize("waited", [False, True])
def test_a_job_that_rabbitmq_buried_itself_goes_back_as_the_run_that_it_is(waited: bool) -> None:
    job = a_job(attempt=2, doubtful=True)
    letter = Letter(1, "flickr_dlq", "job.requested", job.to_bytes(), buried_by_rabbitmq(waited=waited))
    (post,) = posts(letter)
    assert (post.key, JobRequested.model_validate_json(post.body)) == ("flickr_rest", job)
    assert (letter.reason, letter.buried_at) == ("dead-lettered by RabbitMQ: delivery_limit", NOW)


@pytest.mark.parametrize("queue", [None, "somebody_elses_queue"])
def test_what_came_from_nowhere_stays(queue: str | None) -> None:
    plan = plan_replay(unhandled(b"x", reason="unreadable", queue=queue), even_if_unknown=False, now=NOW)
    assert plan == Refusal("it doesn't say which queue it came from")


def test_a_job_with_a_number_that_json_doesn_t_have_stays() -> None:
    letter = an_end(a_job())
    body = letter.body.replace(b'"tags":"private-value"', b'"tags":1e999')
    plan = plan_replay(Letter(1, "flickr_dlq", letter.type, body, letter.headers), even_if_unknown=False, now=NOW)
    assert isinstance(plan, Refusal)
