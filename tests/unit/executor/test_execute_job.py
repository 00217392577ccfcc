"""One message of `flickr_rest`: what the executor does with it, and what it never does."""

from collections.abc import Callable

import pytest

from flickrhub_common.contracts import JobRequested, JobRetrying, Reservation, TokenRejected
from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_common.metrics import Metric
from flickrhub_executor.adapters.meter import ENDED, RETRIES, WAITS
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import FlickrReply, Go, WaitForTurn
from tests.support.metrics_pages import series_of
from tests.unit.executor.fakes import LEASE, SECRETS, TELLING, Executor, a_job, ok, says

WRITE = "flickr.photos.setMeta"
ADD = "flickr.favorites.add"
CREATE = "flickr.photosets.create"


def lost() -> TransientFailure:
    return TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=True)


def unreachable() -> TransientFailure:
    return TransientFailure("Flickr can't be reached.", code="ERR_FLICKR_UNREACHABLE")


# -- success and the cache -------------------------------------------------------------------------------------------


async def test_a_read_is_called_by_get_and_completed_with_flickr_s_answer() -> None:
    executor = Executor()
    await executor.run(a_job())
    (call,) = executor.flickr.calls
    assert (call.method, call.http_method) == ("flickr.photos.search", "GET")
    assert dict(call.params) == {"text": "cats", "per_page": "5", "private-param": "private-value"}
    event = executor.completed()
    assert event.flickr == '{"photos":{"total":1},"stat":"ok"}'
    assert (event.from_cache, event.http_status, event.attempts_made, event.max_attempts) == (False, 200, 1, 3)
    assert (event.duration_ms, event.meta, event.trace_id) == (12, {"mine": 1}, a_job().trace_id)
    assert [sent.how for sent in executor.messaging.sent] == ["event"]


async def test_a_write_is_called_by_post() -> None:
    executor = Executor()
    await executor.run(a_job(WRITE))
    assert executor.flickr.calls[0].http_method == "POST"


async def test_the_same_read_again_is_answered_from_the_cache_without_a_turn_or_a_call() -> None:
    executor = Executor()
    await executor.run(a_job(job_id="first"))
    again = a_job(job_id="second", params={"private-param": "private-value", "per_page": 5.0, "text": "cats"})
    await executor.run(again)
    first, second = executor.messaging.all("event")
    assert (first.message.from_cache, second.message.from_cache) == (False, True)  # type: ignore[attr-defined]
    assert second.message.flickr == first.message.flickr  # type: ignore[attr-defined]
    assert (len(executor.flickr.calls), len(executor.limits.asked)) == (1, 1)


@pytest.mark.parametrize(
    "other", [{"user_id": "user-2"}, {"method": "flickr.photos.getInfo"}, {"params": {"text": "dogs"}}]
)
async def test_another_user_s_method_or_params_don_t_share_an_answer(other: dict[str, object]) -> None:
    executor = Executor()
    await executor.run(a_job(job_id="first"))
    await executor.run(a_job(job_id="second").model_copy(update=other))
    assert len(executor.flickr.calls) == 2


async def test_a_write_makes_the_user_s_cached_reads_stale_at_once_and_nobody_else_s() -> None:
    executor = Executor()
    await executor.run(a_job(job_id="1"))
    await executor.run(a_job(job_id="2", user_id="user-2"))
    await executor.run(a_job(WRITE, job_id="3"))
    await executor.run(a_job(job_id="4"))
    await executor.run(a_job(job_id="5", user_id="user-2"))
    assert [event.from_cache for event in executor.events()] == [False, False, False, False, True]  # type: ignore[attr-defined]


async def test_an_answer_under_way_during_a_write_isn_t_kept_for_those_who_ask_after_it() -> None:
    executor = Executor()

    def a_write_ends_meanwhile() -> None:
        executor.cache.generation["user-1"] = 1

    executor.flickr.meanwhile = a_write_ends_meanwhile
    await executor.run(a_job(job_id="1"))
    await executor.run(a_job(job_id="2"))
    assert len(executor.flickr.calls) == 2


async def test_failures_are_never_cached() -> None:
    executor = Executor()
    executor.flickr.script = [says(1, "Photo not found")]
    await executor.run(a_job(job_id="1"))
    await executor.run(a_job(job_id="2"))
    assert executor.names() == ["job.failed", "job.completed"]
    assert len(executor.flickr.calls) == 2


async def test_without_a_cache_every_read_is_called() -> None:
    executor = Executor(cached=False)
    for number in "123":
        await executor.run(a_job(job_id=number))
    await executor.run(a_job(WRITE, job_id="4"))
    assert len(executor.flickr.calls) == 4


async def test_an_answer_that_can_t_be_cached_is_an_answer_all_the_same() -> None:
    executor = Executor()
    executor.flickr.meanwhile = lambda: setattr(executor.cache, "away", True)
    await executor.run(a_job())
    assert executor.completed().from_cache is False


# -- turns -----------------------------------------------------------------------------------------------------------


async def test_a_job_whose_turn_comes_later_waits_in_the_ladder_with_its_reservation_and_without_an_attempt() -> None:
    executor = Executor()
    place = Reservation(limit="user", at=1234.5)
    executor.limits.script = [WaitForTurn(7.5, place), Go(0.0)]
    await executor.run(a_job())
    (sent,) = executor.messaging.sent
    assert (sent.how, sent.queue, sent.seconds) == ("later", "flickr_rest", 7.5)
    assert sent.message == a_job(reservation=place)
    assert (executor.flickr.calls, executor.claims.state(a_job()), executor.paused) == ([], "none", [])
    assert isinstance(sent.message, JobRequested)
    await executor.run(sent.message)
    assert [reservation for _, _, reservation in executor.limits.asked] == [None, place]
    assert executor.completed().attempts_made == 1


async def test_a_short_wait_is_waited_before_the_claim_is_made() -> None:
    executor = Executor()
    executor.limits.script = [Go(0.25)]
    await executor.run(a_job())
    assert executor.paused == [0.25]
    assert executor.completed()


async def test_the_turn_is_asked_for_by_user_and_key() -> None:
    executor = Executor()
    await executor.run(a_job())
    assert executor.limits.asked == [("user-1", SECRETS[0], None)]


# -- failures --------------------------------------------------------------------------------------------------------


async def test_a_passing_failure_is_told_and_tried_again_after_the_backoff() -> None:
    executor = Executor()
    executor.flickr.script = [says(105, "Service currently unavailable")]
    await executor.run(a_job(reservation=Reservation(limit="user", at=1.0)))
    event, later = executor.messaging.sent
    assert isinstance(event.message, JobRetrying)
    assert (event.message.attempts_made, event.message.max_attempts) == (1, 3)
    assert "105" in event.message.reason
    assert (event.message.next_attempt_at - event.message.at).total_seconds() == 1.0
    assert (later.how, later.queue, later.seconds) == ("later", "flickr_rest", 1.0)
    assert later.message == a_job(attempt=2)
    await executor.run(a_job(attempt=2))
    assert executor.completed().attempts_made == 2


async def test_waits_double_from_attempt_to_attempt() -> None:
    executor = Executor(attempts=5)
    executor.flickr.script = [says(105)] * 4
    await executor.run_to_the_end(a_job())
    assert [sent.seconds for sent in executor.messaging.all("later")] == [1.0, 2.0, 4.0, 8.0]
    assert executor.completed().attempts_made == 5


async def test_flickr_s_longer_wait_counts_and_its_shorter_one_doesn_t() -> None:
    executor = Executor()
    executor.flickr.script = [
        FlickrReply(429, b"<html>", 30.0, 1),
        FlickrReply(503, b"<html>", 0.5, 1),
    ]
    await executor.run_to_the_end(a_job())
    assert [sent.seconds for sent in executor.messaging.all("later")] == [30.0, 2.0]


async def test_a_job_whose_attempts_all_fail_is_told_failed_and_buried_exactly_once() -> None:
    executor = Executor()
    executor.flickr.script = [says(105, "Service currently unavailable"), unreachable(), ok(b"<html>", 502)]
    await executor.run_to_the_end(a_job())
    assert executor.names() == ["job.retrying", "job.retrying", "job.failed"]
    event = executor.failed()
    assert (event.attempts_made, event.max_attempts, event.meta) == (3, 3, {"mine": 1})
    assert event.failure.code == "ERR_FLICKR_UNAVAILABLE"
    assert event.failure.message == "Gave up after 3 attempts: Flickr failed (HTTP 502)."
    assert event.failure.chain == [
        "AttemptsExhausted: Gave up after 3 attempts",
        "caused by TransientFailure: Flickr failed (HTTP 502).",
    ]
    (letter,) = executor.messaging.all("dead")
    assert letter.queue == "flickr_dlq"
    assert letter.message == a_job(attempt=3)
    assert letter.headers == {
        "reason": event.failure.message,
        "code": "ERR_FLICKR_UNAVAILABLE",
        "attempts": 3,
        "trace_id": a_job().trace_id,
        "job_id": a_job().job_id,
        "queue": "flickr_rest",
        "replays": 0,
    }


async def test_one_attempt_means_one_attempt() -> None:
    executor = Executor(attempts=1)
    executor.flickr.script = [says(105)]
    await executor.run_to_the_end(a_job())
    assert executor.names() == ["job.failed"]
    assert executor.failed().failure.message.startswith("Gave up after 1 attempt: ")


async def test_a_failure_that_would_fail_again_ends_the_job_at_once() -> None:
    executor = Executor()
    executor.flickr.script = [says(1, "Photo not found")]
    await executor.run_to_the_end(a_job())
    assert (executor.names(), len(executor.messaging.all("dead"))) == (["job.failed"], 1)
    assert executor.failed().failure.code == "FLICKR_1"
    assert executor.failed().attempts_made == 1


async def test_a_dead_token_is_forgotten_told_to_auth_and_ends_the_job() -> None:
    executor = Executor()
    executor.flickr.script = [says(98, "Invalid auth token")]
    await executor.run_to_the_end(a_job())
    assert executor.names() == ["token.rejected", "job.failed"]
    (rejected,) = executor.events(TokenRejected)
    assert isinstance(rejected, TokenRejected)
    assert (rejected.user_id, rejected.fingerprint) == ("user-1", "f00d")
    assert executor.tokens.forgotten == ["user-1"]
    assert executor.failed().failure.code == "FLICKR_98"


async def test_a_user_without_a_connection_fails_without_a_turn_or_a_call() -> None:
    executor = Executor()
    executor.tokens.failure = TokenNotFound()
    await executor.run_to_the_end(a_job())
    event = executor.failed()
    assert event.failure.code == "ERR_TOKEN_NOT_FOUND"
    assert event.failure.chain[-1] == "caused by TokenNotFound"
    assert (executor.limits.asked, executor.flickr.calls) == ([], [])


async def test_a_job_without_a_method_fails_at_once() -> None:
    executor = Executor()
    await executor.run_to_the_end(a_job(None))
    assert executor.failed().failure.code == "ERR_INVALID_REQUEST"


async def test_nothing_that_is_told_or_buried_holds_a_secret_or_a_param() -> None:
    executor = Executor()
    sbs = f"oauth_problem=signature_invalid&debug_sbs=GET&x%26oauth_token%3D{SECRETS[2]}%26p%3Dprivate-value".encode()
    connecting = lost()
    connecting.__cause__ = ConnectionError(f"{SECRETS[1]} at 10.0.0.1:443")
    executor.flickr.script = [connecting, says(105, "private-value"), FlickrReply(401, sbs, None, 1)]
    await executor.run_to_the_end(a_job())
    chains = "".join(executor.failed().failure.chain)
    told = chains + "".join(event.to_bytes().decode() for event in executor.events()[-1:])
    headers = str([letter.headers for letter in executor.messaging.all("dead")])
    for private in (*SECRETS, "private-value", "10.0.0.1", "/"):
        assert private not in chains
    for private in (*SECRETS, "private-value", "10.0.0.1"):
        assert private not in told + headers


async def test_of_a_foreign_error_the_chain_tells_only_the_kind() -> None:
    executor = Executor(attempts=1)
    failure = lost()
    failure.__cause__ = ConnectionResetError("peer 10.0.0.1 reset")
    executor.flickr.script = [failure]
    await executor.run_to_the_end(a_job())
    assert executor.failed().failure.chain == [
        "AttemptsExhausted: Gave up after 1 attempt",
        "caused by TransientFailure: Flickr didn't answer in time.",
        "caused by ConnectionResetError",
    ]


# -- writes whose effect is in doubt ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [lost(), ok(b"<html>", 504), ok(b"<html>", 200), ok(b"", 500)])
async def test_a_write_that_may_not_be_repeated_ends_as_unknown_when_its_answer_is_lost(answer: object) -> None:
    executor = Executor()
    executor.flickr.script = [answer]  # type: ignore[list-item]
    await executor.run_to_the_end(a_job(CREATE))
    assert len(executor.flickr.calls) == 1
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"
    assert executor.failed().failure.chain[0].startswith("OutcomeUnknown: ")
    assert executor.cache.generation == {"user-1": 1}
    assert len(executor.messaging.all("dead")) == 1


@pytest.mark.parametrize("answer", [unreachable(), says(105), ok(b"<html>", 429), ok(b"<html>", 503)])
async def test_a_write_that_surely_wasn_t_done_is_tried_again_even_if_it_may_not_be_repeated(answer: object) -> None:
    executor = Executor()
    executor.flickr.script = [answer]  # type: ignore[list-item]
    await executor.run_to_the_end(a_job(CREATE))
    assert len(executor.flickr.calls) == 2
    assert executor.completed().attempts_made == 2


async def test_a_repeatable_write_whose_answer_was_lost_is_repeated_and_already_done_is_success() -> None:
    executor = Executor()
    executor.flickr.script = [lost(), says(105), says(3, "Photo is already in favorites")]
    await executor.run_to_the_end(a_job(ADD))
    assert [sent.message.doubtful for sent in executor.messaging.all("later")] == [True, True]  # type: ignore[attr-defined]
    assert executor.completed().flickr == '{"stat":"ok"}'


async def test_already_done_is_a_failure_when_no_answer_was_lost() -> None:
    executor = Executor()
    executor.flickr.script = [says(105), says(3, "Photo is already in favorites")]
    await executor.run_to_the_end(a_job(ADD))
    assert executor.failed().failure.code == "FLICKR_3"


async def test_a_write_in_doubt_makes_reads_stale_even_though_it_failed() -> None:
    executor = Executor(attempts=1)
    executor.flickr.script = [lost()]
    await executor.run_to_the_end(a_job(WRITE))
    assert executor.failed().failure.code == "ERR_FLICKR_TIMEOUT"
    assert executor.cache.generation == {"user-1": 1}


async def test_a_read_whose_answer_was_lost_is_in_no_doubt() -> None:
    executor = Executor()
    executor.flickr.script = [lost()]
    await executor.run_to_the_end(a_job())
    assert [sent.message.doubtful for sent in executor.messaging.all("later")] == [False]  # type: ignore[attr-defined]
    assert executor.cache.generation == {}


# -- copies of a message, and deaths ---------------------------------------------------------------------------------


async def test_a_copy_of_a_job_at_work_is_put_aside_until_the_lease_is_over() -> None:
    executor = Executor()
    await executor.claims.take(a_job())
    executor.clock.advance(5)
    await executor.run(a_job(reservation=Reservation(limit="user", at=1.0)))
    (sent,) = executor.messaging.sent
    assert (sent.how, sent.seconds, sent.message) == ("later", LEASE - 5, a_job())
    assert executor.flickr.calls == []


async def test_a_copy_of_a_job_that_is_done_and_told_changes_nothing() -> None:
    executor = Executor()
    await executor.run(a_job())
    await executor.run(a_job())
    await executor.run(a_job(attempt=2))
    assert (len(executor.messaging.sent), len(executor.flickr.calls)) == (1, 1)


async def test_after_a_death_during_a_read_it_is_called_again() -> None:
    executor = Executor()
    await executor.claims.take(a_job())
    executor.clock.advance(LEASE + 1)
    await executor.run(a_job())
    assert executor.completed().attempts_made == 1


async def test_after_a_death_during_a_repeatable_write_already_done_is_success() -> None:
    executor = Executor()
    await executor.claims.take(a_job(ADD))
    executor.clock.advance(LEASE + 1)
    executor.flickr.script = [says(3, "Photo is already in favorites")]
    await executor.run(a_job(ADD))
    assert executor.completed().flickr == '{"stat":"ok"}'
    assert executor.cache.generation["user-1"] >= 1


async def test_the_doubt_of_a_death_goes_with_the_next_attempt() -> None:
    executor = Executor()
    await executor.claims.take(a_job(ADD))
    executor.clock.advance(LEASE + 1)
    executor.flickr.script = [says(105), says(3, "Photo is already in favorites")]
    await executor.run_to_the_end(a_job(ADD))
    assert executor.completed().attempts_made == 2


async def test_after_a_death_during_a_write_that_may_not_be_repeated_it_isn_t() -> None:
    executor = Executor()
    await executor.claims.take(a_job(CREATE))
    executor.clock.advance(LEASE + 1)
    await executor.run(a_job(CREATE))
    assert executor.flickr.calls == []
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"
    assert executor.cache.generation == {"user-1": 1}


async def test_after_a_death_between_giving_up_and_sending_the_next_attempt_is_sent_when_it_is_due() -> None:
    executor = Executor()
    retry = a_job(attempt=2)
    due = executor.clock.now().timestamp() + 10
    await executor.claims.give_up_attempt(a_job(), retry, due=due)
    executor.clock.advance(4)
    await executor.run(a_job())
    (sent,) = executor.messaging.sent
    assert (sent.how, sent.seconds, sent.message) == ("later", 6.0, retry)
    executor.clock.advance(60)
    await executor.run(a_job())
    assert executor.messaging.sent[-1].seconds == 0.0
    assert executor.flickr.calls == []


async def test_an_old_copy_of_an_attempt_that_is_over_is_dropped_while_the_next_is_at_work() -> None:
    executor = Executor()
    await executor.claims.give_up_attempt(a_job(), a_job(attempt=2), due=0)
    await executor.claims.take(a_job(attempt=2))
    executor.clock.advance(LEASE + 1)
    await executor.run(a_job())
    assert executor.messaging.sent == []


async def test_a_slow_executor_s_failure_doesn_t_undo_what_another_one_finished() -> None:
    executor = Executor()
    job = a_job()

    def somebody_else_finishes() -> None:
        executor.claims.entries[job.job_id].state = "reported"

    executor.flickr.script = [lost()]
    executor.flickr.meanwhile = somebody_else_finishes
    await executor.run(job)
    assert executor.messaging.sent == []
    assert executor.claims.state(job) == "reported"


# -- somebody is away ------------------------------------------------------------------------------------------------


async def test_without_rabbitmq_the_outcome_is_kept_and_told_once_when_the_message_comes_again() -> None:
    executor = Executor()
    executor.messaging.away = True
    with pytest.raises(Unavailable):
        await executor.run(a_job(WRITE))
    assert executor.claims.state(a_job()) == "ended"
    executor.messaging.away = False
    await executor.run_to_the_end(a_job(WRITE))
    await executor.run_to_the_end(a_job(WRITE))
    assert executor.names() == ["job.completed"]
    assert len(executor.flickr.calls) == 1


async def test_a_copy_that_comes_while_the_outcome_is_being_told_waits_and_tells_nothing() -> None:
    executor = Executor()
    executor.messaging.away = True
    with pytest.raises(Unavailable):
        await executor.run(a_job())
    executor.messaging.away = False
    await executor.run(a_job())
    (sent,) = executor.messaging.sent
    assert (sent.how, sent.seconds, sent.message) == ("later", TELLING, a_job())


class _DiesBeforeTelling:
    """A broker that goes away after so many sendings."""

    def __init__(self, executor: Executor, after: int) -> None:
        self._remember = executor.messaging._remember
        self._left = after
        executor.messaging._remember = self  # type: ignore[method-assign]

    def __call__(self, sent: object) -> None:
        if self._left == 0:
            raise Unavailable("rabbitmq")
        self._left -= 1
        self._remember(sent)  # type: ignore[arg-type]


async def test_a_failed_job_is_buried_once_though_telling_of_it_broke_off_after_the_burial() -> None:
    executor = Executor()
    executor.flickr.script = [says(1)]
    remember = executor.messaging._remember
    _DiesBeforeTelling(executor, after=1)
    with pytest.raises(Unavailable):
        await executor.run(a_job())
    executor.messaging._remember = remember  # type: ignore[method-assign]
    await executor.run_to_the_end(a_job())
    assert (len(executor.messaging.all("dead")), executor.names()) == (1, ["job.failed"])


async def test_a_retry_is_sent_though_telling_of_it_broke_off() -> None:
    executor = Executor()
    executor.flickr.script = [says(105)]
    executor.messaging.away = True
    with pytest.raises(Unavailable):
        await executor.run(a_job())
    executor.messaging.away = False
    await executor.run_to_the_end(a_job())
    assert len(executor.flickr.calls) == 2
    assert executor.completed().attempts_made == 2


@pytest.mark.parametrize(
    ("metric", "happens"),
    [
        (ENDED, lambda executor: None),
        (RETRIES, lambda executor: executor.flickr.script.append(says(105))),
        (WAITS, lambda executor: executor.limits.script.extend([WaitForTurn(7.5, None), WaitForTurn(7.5, None)])),
    ],
    ids=["its end", "a retry", "its turn"],
)
async def test_what_couldnt_be_told_at_first_is_counted_once(
    metric: Metric, happens: Callable[[Executor], None]
) -> None:
    executor = Executor()
    happens(executor)
    executor.messaging.away = True
    with pytest.raises(Unavailable):
        await executor.run(a_job())
    executor.messaging.away = False
    await executor.run_to_the_end(a_job())
    found = series_of(executor.metrics.render().decode())
    assert sum(value for (name, _), value in found.items() if name == metric.name) == 1


async def test_a_user_without_connection_is_told_though_rabbitmq_was_away_at_first() -> None:
    executor = Executor()
    executor.tokens.failure = TokenNotFound()
    executor.messaging.away = True
    with pytest.raises(Unavailable):
        await executor.run(a_job())
    executor.messaging.away = False
    await executor.run_to_the_end(a_job())
    assert executor.failed().failure.code == "ERR_TOKEN_NOT_FOUND"
    assert len(executor.messaging.all("dead")) == 1


async def test_without_auth_nothing_is_done() -> None:
    executor = Executor()
    executor.tokens.failure = Unavailable("auth")
    with pytest.raises(Unavailable) as raised:
        await executor.run(a_job())
    assert raised.value.dependency == "auth"
    assert (executor.limits.asked, executor.flickr.calls, executor.messaging.sent) == ([], [], [])


@pytest.mark.parametrize("part", ["cache", "limits", "claims"])
async def test_without_redis_no_call_is_made(part: str) -> None:
    executor = Executor()
    if part == "limits":
        executor.limits.script = [Unavailable("redis")]
    else:
        getattr(executor, part).away = True
    with pytest.raises(Unavailable) as raised:
        await executor.run(a_job())
    assert raised.value.dependency == "redis"
    assert (executor.flickr.calls, executor.messaging.sent) == ([], [])


async def test_when_redis_goes_away_during_the_call_the_job_is_called_again_when_the_lease_is_over() -> None:
    executor = Executor()
    executor.flickr.meanwhile = lambda: setattr(executor.claims, "away", True)
    with pytest.raises(Unavailable):
        await executor.run(a_job())
    executor.claims.away = False
    executor.flickr.meanwhile = lambda: None
    executor.cache.kept.clear()
    await executor.run_to_the_end(a_job())
    assert (len(executor.flickr.calls), executor.names()) == (2, ["job.completed"])
