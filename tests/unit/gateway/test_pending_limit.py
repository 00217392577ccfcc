"""How many jobs a user may have waiting, without counting them for each."""

import asyncio

import httpx2
import pytest

from flickrhub_common.errors import Unavailable
from flickrhub_gateway.errors import TooManyPending
from flickrhub_gateway.models import State
from flickrhub_gateway.usecases.bound_pending import BoundPending
from tests.unit.gateway.fakes import STRANGER, USER, Surroundings, a_job


def _bound(around: Surroundings, most: int) -> BoundPending:
    return BoundPending(around.jobs, around.clock, most=most)


@pytest.fixture
def around() -> Surroundings:
    return Surroundings(most_pending=3)


async def test_the_next_job_is_refused_with_a_sentence_until_some_have_ended(
    around: Surroundings, http: httpx2.AsyncClient
) -> None:
    around.jobs.hold(*(a_job(f"j{number}") for number in range(2)))
    body = {"method": "flickr.test.echo", "user_id": USER}
    replies = [await http.post("/api/v1/flickr/rest", json=body) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [202, 503]
    assert (replies[1].json()["error"]["code"], replies[1].headers["retry-after"]) == ("ERR_UNAVAILABLE", "10")
    assert replies[1].json()["error"]["message"].startswith("This user_id has 3 jobs waiting")
    around.jobs.kept["j0"].state = State.COMPLETED
    around.clock.advance(2)
    assert (await http.post("/api/v1/flickr/rest", json=body)).status_code == 202


async def test_only_open_jobs_of_this_user_count(around: Surroundings) -> None:
    around.jobs.hold(a_job("j1"), a_job("j2"), a_job("j3", user_id=STRANGER), a_job("j4"))
    around.jobs.kept["j2"].state = State.FAILED
    around.jobs.kept["j4"].state = State.RETRYING
    bound = _bound(around, most=3)
    await bound(USER)
    with pytest.raises(TooManyPending):
        await bound(USER)


async def test_a_count_is_good_for_two_seconds_and_shared_by_all_who_ask_meanwhile(around: Surroundings) -> None:
    bound = _bound(around, most=100)
    await asyncio.gather(*(bound(USER) for _ in range(50)))
    assert around.jobs.counted == [USER]
    await bound(STRANGER)
    around.clock.advance(2)
    await bound(USER)
    assert around.jobs.counted == [USER, STRANGER, USER]


@pytest.mark.parametrize(("most", "seconds"), [(2_001, 2), (10_001, 10), (50_001, 50), (1_000_000, 60)])
async def test_far_from_the_limit_a_count_is_good_for_longer(around: Surroundings, most: int, seconds: float) -> None:
    """As long as a thousand jobs a second could not have used up the room."""
    bound = _bound(around, most=most)
    await bound(USER)
    around.clock.advance(seconds - 0.01)
    await bound(USER)
    assert around.jobs.counted == [USER]
    around.clock.advance(0.01)
    await bound(USER)
    assert around.jobs.counted == [USER, USER]


async def test_what_this_gateway_takes_in_shortens_it(around: Surroundings) -> None:
    bound = _bound(around, most=10_000)
    for _ in range(6_000):
        await bound(USER)
    around.clock.advance(4)
    await bound(USER)
    assert around.jobs.counted == [USER, USER]


async def test_what_is_taken_in_meanwhile_counts(around: Surroundings) -> None:
    bound = _bound(around, most=10)
    outcomes = await asyncio.gather(*(bound(USER) for _ in range(15)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(TooManyPending) == 5


async def test_without_a_bound_nothing_is_counted(around: Surroundings) -> None:
    await _bound(around, most=0)(USER)
    assert around.jobs.counted == []


async def test_a_store_that_is_away_is_said_to_be_and_asked_again(around: Surroundings) -> None:
    around.jobs.away = True
    bound = _bound(around, most=10)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await bound(USER)
    around.jobs.away = False
    await bound(USER)


@pytest.mark.parametrize("turns", range(8))
async def test_whoever_comes_just_as_the_count_is_done_has_it_too(around: Surroundings, turns: int) -> None:
    bound = _bound(around, most=10)
    first = asyncio.create_task(bound(USER))
    for _ in range(turns):
        await asyncio.sleep(0)
    await bound(USER)
    await first
    assert around.jobs.counted == [USER]
