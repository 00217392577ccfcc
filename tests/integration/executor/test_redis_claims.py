"""Claims on a real Redis: who works on a job, and how it ended."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing

import pytest
from pydantic import SecretStr
from redis.asyncio import Connection, Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from flickrhub_common.contracts import JobRequested, UploadProgress
from flickrhub_common.errors import Unavailable
from flickrhub_common.redis import PipelinedRedis, make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_executor.adapters.redis_claims import KEPT_SECONDS, REPLAY_KEPT_SECONDS, RedisClaims
from flickrhub_executor.models import Concluded, Held, Superseded, Taken
from tests.support.samples import a_completion, a_failure, a_job
from tests.support.waiting import eventually

LEASE = 0.4
TELLING = 0.3


@pytest.fixture
def claims(redis: Redis) -> RedisClaims:
    return RedisClaims(PipelinedRedis(redis), lease_seconds=LEASE, telling_seconds=TELLING)


def the_next(job: JobRequested, **more: object) -> JobRequested:
    return job.model_copy(update={"attempt": job.attempt + 1, **more})


async def taken(claims: RedisClaims, job: JobRequested) -> Taken:
    """Take a claim that is to be had."""
    claim = await claims.take(job)
    assert isinstance(claim, Taken)
    return claim


async def test_the_first_to_ask_takes_the_job_and_the_second_learns_how_long_it_is_held(claims: RedisClaims) -> None:
    job = a_job()
    await taken(claims, job)
    held = await claims.take(job)
    assert isinstance(held, Held)
    assert 0 < held.seconds <= LEASE


async def test_of_many_copies_taken_at_once_from_several_clients_exactly_one_is_taken(
    redis_settings: RedisSettings,
) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(aclosing(make_redis(redis_settings))) for _ in range(5)]
        claims = [RedisClaims(PipelinedRedis(client), lease_seconds=30, telling_seconds=30) for client in clients]
        for job in [a_job() for _ in range(20)]:
            verdicts = await asyncio.gather(*(each.take(job) for each in claims * 10))
            assert Counter(type(verdict) for verdict in verdicts) == {Taken: 1, Held: 49}


async def test_when_the_lease_is_over_one_other_takes_it_in_doubt(claims: RedisClaims) -> None:
    job = a_job()
    await claims.take(job)
    await asyncio.sleep(LEASE + 0.02)
    verdicts = await asyncio.gather(*(claims.take(job) for _ in range(10)))
    assert [verdict.doubtful for verdict in verdicts if isinstance(verdict, Taken)] == [True]
    assert sum(isinstance(verdict, Held) for verdict in verdicts) == 9


async def test_a_claim_renewed_is_held_for_another_lease(claims: RedisClaims) -> None:
    job = a_job()
    owner = (await taken(claims, job)).owner
    for _ in range(3):
        await asyncio.sleep(LEASE / 2)
        assert await claims.renew(job, owner=owner)
    held = await claims.take(job)
    assert isinstance(held, Held)
    assert LEASE / 2 < held.seconds <= LEASE


async def test_a_claim_whose_lease_ran_out_can_be_renewed_until_somebody_else_takes_it(claims: RedisClaims) -> None:
    job = a_job()
    first = await taken(claims, job)
    await asyncio.sleep(LEASE + 0.02)
    assert await claims.renew(job, owner=first.owner)
    assert isinstance(await claims.take(job), Held)
    await asyncio.sleep(LEASE + 0.02)
    second = await taken(claims, job)
    assert (second.doubtful, second.owner != first.owner) == (True, True)
    assert not await claims.renew(job, owner=first.owner)
    assert await claims.renew(job, owner=second.owner)


async def test_of_renewing_and_taking_over_at_once_one_succeeds(claims: RedisClaims) -> None:
    jobs = [a_job() for _ in range(10)]
    owners = [(await taken(claims, job)).owner for job in jobs]
    await asyncio.sleep(LEASE + 0.05)

    async def race(job: JobRequested, owner: str) -> None:
        renewed, *others = await asyncio.gather(claims.renew(job, owner=owner), claims.take(job), claims.take(job))
        assert isinstance(renewed, bool)
        assert renewed + sum(isinstance(claim, Taken) for claim in others) == 1

    await asyncio.gather(*map(race, jobs, owners))


async def test_what_isn_t_running_can_t_be_renewed(claims: RedisClaims, redis: Redis) -> None:
    given_up, ended, told, forgotten = a_job(), a_job(), a_job(), a_job()
    owners = {job.job_id: (await taken(claims, job)).owner for job in (given_up, ended, told, forgotten)}
    await claims.give_up_attempt(given_up, the_next(given_up), due=1.0)
    await claims.conclude(ended, a_completion(ended.job_id))
    await claims.mark_reported(told.job_id)
    await redis.delete(f"claim:{forgotten.job_id}")
    for job in (given_up, ended, told, forgotten):
        assert not await claims.renew(job, owner=owners[job.job_id])
    assert await redis.exists(f"claim:{forgotten.job_id}") == 0


async def test_messages_of_one_attempt_are_ordered_by_their_sequence(claims: RedisClaims) -> None:
    job = a_job(attempt=2, progress=UploadProgress(step="look", sequence=5))
    following = job.model_copy(update={"progress": UploadProgress(step="look", sequence=6, asked=1)})
    await taken(claims, job)
    assert await claims.give_up_attempt(job, following, due=7.0)
    assert await claims.take(job) == Superseded(following, 7.0)
    await taken(claims, following)
    assert not await claims.give_up_attempt(job, following, due=8.0)
    await asyncio.sleep(LEASE + 0.02)
    assert await claims.take(job) == Superseded(None, 0.0)


async def test_an_attempt_given_up_is_superseded_by_the_next_which_isn_t_in_doubt(claims: RedisClaims) -> None:
    job = a_job()
    retry = the_next(job, doubtful=True)
    await claims.take(job)
    assert await claims.give_up_attempt(job, retry, due=1234567890.125)
    assert await claims.take(job) == Superseded(retry, 1234567890.125)
    assert not (await taken(claims, retry)).doubtful
    assert isinstance(await claims.take(job), Held)
    assert await claims.give_up_attempt(retry, the_next(retry), due=5.0)
    assert await claims.take(job) == Superseded(the_next(retry), 5.0)


async def test_deaths_are_counted_for_an_attempt_and_forgotten_by_the_next(claims: RedisClaims, redis: Redis) -> None:
    first = a_job(progress=UploadProgress(step="send", sequence=1))
    look = a_job(first.job_id, progress=UploadProgress(step="look", sequence=2))
    second = a_job(first.job_id, attempt=2, progress=UploadProgress(step="send", sequence=3))
    found = []
    for job, following in ((first, look), (look, second), (second, None)):
        found.append((await taken(claims, job)).deaths)
        await redis.hset(f"claim:{job.job_id}", "until", "0")
        found.append((await taken(claims, job)).deaths)
        if following is not None:
            assert await claims.give_up_attempt(job, following, due=0.0)
    assert found == [0, 1, 1, 2, 0, 1]


async def test_an_old_copy_has_nothing_to_do_when_the_next_attempt_s_executor_died(claims: RedisClaims) -> None:
    job = a_job()
    await claims.take(job)
    await claims.give_up_attempt(job, the_next(job), due=0.0)
    await claims.take(the_next(job))
    await asyncio.sleep(LEASE + 0.02)
    assert await claims.take(job) == Superseded(None, 0.0)
    assert (await taken(claims, the_next(job))).doubtful


async def test_giving_up_the_same_attempt_again_as_after_a_lost_answer_changes_nothing(claims: RedisClaims) -> None:
    job = a_job()
    await claims.take(job)
    assert await claims.give_up_attempt(job, the_next(job), due=7.0)
    assert await claims.give_up_attempt(job, the_next(job), due=7.0)
    assert await claims.take(job) == Superseded(the_next(job), 7.0)


@pytest.mark.parametrize("make_outcome", [a_completion, a_failure])
async def test_the_first_outcome_stored_is_the_one_that_counts(claims: RedisClaims, make_outcome: object) -> None:
    assert callable(make_outcome)
    job = a_job()
    outcome = make_outcome(job.job_id)
    await claims.take(job)
    assert await claims.conclude(job, outcome) == Concluded(outcome)
    await asyncio.sleep(TELLING + 0.02)
    assert await claims.conclude(job, a_failure(job.job_id)) == Concluded(outcome)


async def test_who_stored_an_outcome_and_didn_t_hear_of_it_may_ask_again_until_another_tells_it(
    claims: RedisClaims,
) -> None:
    job = a_job()
    outcome = a_completion(job.job_id)
    owner = (await taken(claims, job)).owner
    for _ in range(3):
        assert await claims.conclude(job, outcome, owner=owner) == Concluded(outcome)
    assert isinstance(await claims.conclude(job, a_failure(job.job_id), owner=owner), Held)
    assert isinstance(await claims.conclude(job, outcome, owner="somebody"), Held)
    await asyncio.sleep(TELLING + 0.02)
    assert await claims.take(job) == Concluded(outcome)
    assert isinstance(await claims.conclude(job, outcome, owner=owner), Held)


async def test_a_failure_isn_t_stored_over_the_claim_of_another_and_a_success_is(claims: RedisClaims) -> None:
    job = a_job()
    first = await taken(claims, job)
    await asyncio.sleep(LEASE + 0.02)
    second = await taken(claims, job)
    verdict = await claims.conclude(job, a_failure(job.job_id), owner=first.owner)
    assert isinstance(verdict, Held)
    assert 0 < verdict.seconds <= LEASE
    assert not await claims.give_up_attempt(job, the_next(job), due=1.0, owner=first.owner)
    assert await claims.renew(job, owner=second.owner)
    outcome = a_completion(job.job_id)
    assert await claims.conclude(job, outcome, owner=first.owner) == Concluded(outcome)


async def test_a_failure_isn_t_stored_when_another_has_gone_on_to_the_next_attempt(claims: RedisClaims) -> None:
    job = a_job()
    first = await taken(claims, job)
    await asyncio.sleep(LEASE + 0.02)
    second = await taken(claims, job)
    assert await claims.give_up_attempt(job, the_next(job), due=7.0, owner=second.owner)
    assert await claims.conclude(job, a_failure(job.job_id), owner=first.owner) == Held(0.0)
    assert await claims.take(job) == Superseded(the_next(job), 7.0)


async def test_what_is_known_of_a_job_whose_claim_redis_lost_is_stored(claims: RedisClaims, redis: Redis) -> None:
    failing, passing = a_job(), a_job()
    owners = [(await taken(claims, job)).owner for job in (failing, passing)]
    await redis.flushdb()
    outcome = a_failure(failing.job_id)
    assert await claims.conclude(failing, outcome, owner=owners[0]) == Concluded(outcome)
    assert await claims.give_up_attempt(passing, the_next(passing), due=7.0, owner=owners[1])
    assert await claims.take(passing) == Superseded(the_next(passing), 7.0)


async def test_while_an_outcome_is_being_told_every_copy_is_held(claims: RedisClaims) -> None:
    job = a_job()
    outcome = a_completion(job.job_id)
    await claims.take(job)
    await claims.conclude(job, outcome)
    for verdict in [await claims.take(job), await claims.take(the_next(job)), await claims.conclude(job, outcome)]:
        assert isinstance(verdict, Held)
        assert 0 < verdict.seconds <= TELLING


async def test_an_outcome_whose_teller_died_is_told_by_exactly_one_other(claims: RedisClaims) -> None:
    job = a_job()
    outcome = a_completion(job.job_id)
    await claims.take(job)
    await claims.conclude(job, outcome)
    await asyncio.sleep(TELLING + 0.02)
    verdicts = await asyncio.gather(*(claims.take(job) for _ in range(10)))
    assert verdicts.count(Concluded(outcome)) == 1
    assert sum(isinstance(verdict, Held) for verdict in verdicts) == 9


async def test_an_outcome_that_was_told_in_vain_five_times_holds_nobody_any_more(
    claims: RedisClaims, redis: Redis
) -> None:
    job, outcome = a_job(), a_completion()
    await claims.conclude(job, outcome)
    for _ in range(5):
        await redis.hset(f"claim:{job.job_id}", "until", "0")
        assert await claims.take(job) == Concluded(outcome)
        assert isinstance(await claims.take(job), Held)
    await redis.hset(f"claim:{job.job_id}", "until", "0")
    for _ in range(3):
        assert await claims.take(job) == Concluded(outcome)


async def test_that_a_job_was_buried_is_remembered_for_whoever_goes_on_telling(claims: RedisClaims) -> None:
    job = a_job()
    outcome = a_failure(job.job_id)
    await claims.take(job)
    assert await claims.conclude(job, outcome) == Concluded(outcome, buried=False)
    await claims.mark_buried(job.job_id)
    await asyncio.sleep(TELLING + 0.02)
    assert await claims.take(job) == Concluded(outcome, buried=True)


async def test_what_was_told_is_kept_as_a_word_longer_than_any_message_can_wait(
    claims: RedisClaims, redis: Redis
) -> None:
    job = a_job()
    await claims.take(job)
    await claims.conclude(job, a_completion(job.job_id))
    await claims.mark_reported(job.job_id)
    for verdict in [
        await claims.take(job),
        await claims.take(the_next(job)),
        await claims.conclude(job, a_failure(job.job_id)),
    ]:
        assert verdict == Concluded(None)
    assert await redis.hgetall(f"claim:{job.job_id}") == {b"state": b"reported", b"completed": b"1"}
    assert KEPT_SECONDS - 5 < await redis.ttl(f"claim:{job.job_id}") <= KEPT_SECONDS


async def test_a_slow_attempt_can_t_be_given_up_after_the_job_has_ended_or_gone_further(claims: RedisClaims) -> None:
    ended, told, further = a_job(), a_job(), a_job()
    await claims.conclude(ended, a_completion(ended.job_id))
    await claims.mark_reported(told.job_id)
    await claims.take(the_next(further))
    for job in (ended, told, further):
        assert not await claims.give_up_attempt(job, the_next(job), due=1.0)
    assert await claims.take(told) == Concluded(None)
    assert isinstance(await claims.take(the_next(further)), Held)


async def test_every_claim_ends_by_itself_one_day(claims: RedisClaims, redis: Redis) -> None:
    taken, given_up, ended = a_job(), a_job(), a_job()
    await claims.take(taken)
    await claims.give_up_attempt(given_up, the_next(given_up), due=1.0)
    await claims.conclude(ended, a_completion(ended.job_id))
    for job in (taken, given_up, ended):
        assert 0 < await redis.ttl(f"claim:{job.job_id}") <= KEPT_SECONDS


@pytest.fixture
def a_lost_answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The connection breaks once, when the work is done: the driver asks again."""
    parse = Pipeline.parse_response
    broken: list[bool] = []

    async def break_once(pipeline: Pipeline, connection: Connection, command_name: str, **options: object) -> object:
        answer = await parse(pipeline, connection, command_name, **options)
        if not broken and command_name == "EVALSHA":
            broken.append(True)
            raise RedisConnectionError("cut after the work was done")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "parse_response", break_once)
        yield
    assert broken


async def test_a_lost_answer_to_take_isn_t_mistaken_for_another_copy(
    claims: RedisClaims, request: pytest.FixtureRequest
) -> None:
    await claims.take(a_job())  # the script is known from here on
    request.getfixturevalue("a_lost_answer")
    assert not (await taken(claims, a_job())).doubtful


async def test_a_lost_answer_to_taking_over_doesn_t_lose_the_doubt_or_count_a_death_more(
    claims: RedisClaims, request: pytest.FixtureRequest
) -> None:
    job = a_job()
    await claims.take(job)
    await asyncio.sleep(LEASE + 0.02)
    request.getfixturevalue("a_lost_answer")
    claim = await taken(claims, job)
    assert (claim.doubtful, claim.deaths) == (True, 1)


async def test_outcomes_of_any_text_come_back_as_they_were(claims: RedisClaims) -> None:
    job = a_job()
    text = '{"t":"line\\nbreak \\u0000 é 日本 😀","stat":"ok"}' + " " * 100_000
    outcome = a_completion(job.job_id).model_copy(update={"flickr": text, "meta": {"a": [1, None, {"b": "\n"}]}})
    await claims.conclude(job, outcome)
    await asyncio.sleep(TELLING + 0.02)
    assert await claims.take(job) == Concluded(outcome)


async def test_redis_away_is_unavailable_in_every_call() -> None:
    settings = RedisSettings(redis_url=SecretStr("redis://127.0.0.1:1/0"))
    async with aclosing(make_redis(settings)) as nowhere:
        claims = RedisClaims(PipelinedRedis(nowhere), lease_seconds=1, telling_seconds=1)
        job = a_job()
        for call in (
            claims.take(job),
            claims.renew(job, owner="me"),
            claims.conclude(job, a_completion()),
            claims.give_up_attempt(job, job, due=1.0),
            claims.mark_buried(job.job_id),
            claims.mark_reported(job.job_id),
        ):
            with pytest.raises(Unavailable):
                await call


async def test_scripts_are_loaded_again_after_redis_lost_them(claims: RedisClaims, redis: Redis) -> None:
    await claims.take(a_job())
    await redis.script_flush()
    verdict = await eventually(lambda: claims.take(a_job()), what="a claim")
    assert isinstance(verdict, Taken)


# -- replays ---------------------------------------------------------------------------------------------------------


def replayed(job: JobRequested, replay: int = 1) -> JobRequested:
    return job.model_copy(update={"replay": replay})


async def failed_run(claims: RedisClaims, job: JobRequested) -> None:
    """A run that failed, was buried and told."""
    await taken(claims, job)
    await claims.conclude(job, a_failure(job.job_id))
    await claims.mark_buried(job.job_id, replay=job.replay)
    await claims.mark_reported(job.job_id, replay=job.replay)


async def test_a_replay_of_a_failed_job_is_taken_once_and_older_copies_find_nothing_left(
    claims: RedisClaims, redis: Redis
) -> None:
    job = a_job()
    await failed_run(claims, job)
    assert not (await taken(claims, replayed(job))).doubtful
    assert isinstance(await claims.take(replayed(job)), Held)
    assert await claims.take(job) == Concluded(None)
    assert await claims.conclude(job, a_failure(job.job_id)) == Concluded(None)
    assert not await claims.give_up_attempt(job, the_next(job), due=1.0)
    await claims.mark_buried(job.job_id)
    await claims.mark_reported(job.job_id)
    assert isinstance(await claims.take(replayed(job)), Held)
    assert await redis.hget(f"claim:{job.job_id}", "buried") is None
    assert KEPT_SECONDS < await redis.ttl(f"claim:{job.job_id}") <= REPLAY_KEPT_SECONDS


async def test_a_replay_that_fails_too_is_told_and_can_be_replayed_again(claims: RedisClaims) -> None:
    job = a_job()
    for replay in (0, 1, 2):
        await failed_run(claims, replayed(job, replay))
        assert await claims.take(replayed(job, replay)) == Concluded(None)


@pytest.mark.parametrize("told", [False, True], ids=["not told yet", "told"])
async def test_a_job_that_completed_isn_t_taken_by_a_replay(claims: RedisClaims, told: bool) -> None:
    job = a_job()
    await taken(claims, job)
    await claims.conclude(job, a_completion(job.job_id))
    if told:
        await claims.mark_reported(job.job_id)
    assert await claims.take(replayed(job)) == Concluded(None)
    assert await claims.conclude(replayed(job), a_failure(job.job_id)) == Concluded(None)


async def test_a_replay_takes_over_from_a_run_that_died_in_doubt(claims: RedisClaims) -> None:
    job = a_job()
    await taken(claims, job)
    assert isinstance(await claims.take(replayed(job)), Held)
    await asyncio.sleep(LEASE + 0.02)
    assert (await taken(claims, replayed(job))).doubtful


@pytest.mark.parametrize("doubtful", [False, True])
async def test_a_replay_of_a_run_that_waits_for_its_next_attempt_has_its_doubt(
    claims: RedisClaims, doubtful: bool
) -> None:
    job = a_job()
    await taken(claims, job)
    await claims.give_up_attempt(job, the_next(job, doubtful=doubtful), due=1.0)
    assert (await taken(claims, replayed(job))).doubtful is doubtful
    assert await claims.take(the_next(job)) == Concluded(None)


async def test_the_doubt_of_a_failure_is_kept_with_it(claims: RedisClaims) -> None:
    calm, doubtful, cut_short = a_job(), a_job(doubtful=True), a_job()
    await taken(claims, cut_short)
    for job in (calm, doubtful, cut_short):
        await claims.conclude(job, a_failure(job.job_id), interrupts=True)
    await asyncio.sleep(TELLING + 0.02)
    found = [await claims.take(job) for job in (calm, doubtful, cut_short)]
    assert [each.doubtful for each in found if isinstance(each, Concluded)] == [False, True, True]


@pytest.mark.parametrize("doubtful", [False, True])
async def test_a_job_given_up_between_attempts_has_the_doubt_of_the_one_before(
    claims: RedisClaims, doubtful: bool
) -> None:
    job = a_job()
    await taken(claims, job)
    await claims.give_up_attempt(job, the_next(job, doubtful=doubtful), due=1.0)
    outcome = a_failure(job.job_id)
    assert await claims.conclude(job, outcome, interrupts=True) == Concluded(outcome, doubtful=doubtful)


async def test_an_outcome_that_nobody_told_is_told_before_a_replay_begins(claims: RedisClaims, redis: Redis) -> None:
    job = a_job()
    outcome = a_failure(job.job_id)
    await claims.conclude(job, outcome)
    assert isinstance(await claims.take(replayed(job)), Held)
    assert isinstance(await claims.conclude(replayed(job), outcome), Held)
    await redis.hset(f"claim:{job.job_id}", "until", "0")
    assert await claims.take(replayed(job)) == Concluded(outcome, buried=True)
    await claims.mark_reported(job.job_id)
    assert not (await taken(claims, replayed(job))).doubtful
