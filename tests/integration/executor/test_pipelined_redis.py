"""What several callers ask of a real Redis at the same time: one round trip, and to each their own answer."""

import asyncio
from contextlib import aclosing

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from flickrhub_common.errors import Unavailable
from flickrhub_common.redis import PipelinedRedis, make_redis, redis_errors
from flickrhub_common.settings import RedisSettings

COUNT = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), KEYS[1]}"
FAIL = "return redis.error_reply('ERR for ' .. KEYS[1])"


@pytest.fixture
def pipelined(redis: Redis) -> PipelinedRedis:
    return PipelinedRedis(redis)


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each pipeline had that went out."""
    trips: list[int] = []
    execute = Pipeline.execute

    async def counted(pipeline: Pipeline, raise_on_error: bool = True) -> list[object]:
        trips.append(len(pipeline))
        return await execute(pipeline, raise_on_error)

    monkeypatch.setattr(Pipeline, "execute", counted)
    return trips


async def test_what_is_asked_at_the_same_time_goes_together_and_each_has_its_own_answer(
    pipelined: PipelinedRedis, round_trips: list[int]
) -> None:
    count = pipelined.register_script(COUNT)
    await count(keys=["known"], args=[1])
    round_trips.clear()
    answers = await asyncio.gather(*(count(keys=[f"k{number}"], args=[number]) for number in range(50)))
    assert answers == [[number, f"k{number}".encode()] for number in range(50)]
    assert round_trips == [50]


async def test_what_is_asked_one_after_the_other_is_done_in_that_order(pipelined: PipelinedRedis) -> None:
    answers = await asyncio.gather(*(pipelined.execute("RPUSH", "list", word) for word in "abc"))
    assert answers == [1, 2, 3]
    assert await pipelined.execute("LRANGE", "list", 0, -1) == [b"a", b"b", b"c"]


async def test_an_error_is_its_caller_s_alone(pipelined: PipelinedRedis) -> None:
    count, fail = pipelined.register_script(COUNT), pipelined.register_script(FAIL)
    answers: list[object] = await asyncio.gather(
        count(keys=["a"], args=[1]),
        fail(keys=["b"]),
        count(keys=["a"], args=["no number"]),
        count(keys=["a"], args=[2]),
        return_exceptions=True,
    )
    assert (answers[0], answers[3]) == ([1, b"a"], [3, b"a"])
    assert isinstance(answers[1], ResponseError)
    assert "for b" in str(answers[1])
    assert isinstance(answers[2], ResponseError)


async def test_what_no_command_can_hold_is_its_caller_s_error_alone(pipelined: PipelinedRedis) -> None:
    answers = await asyncio.gather(
        pipelined.execute("SET", "a", "1"), pipelined.execute("SET", "b", "\ud800"), return_exceptions=True
    )
    assert answers[0] is True
    assert isinstance(answers[1], UnicodeEncodeError)


async def test_scripts_that_redis_lost_are_loaded_again_and_nothing_is_done_twice(
    pipelined: PipelinedRedis, redis: Redis
) -> None:
    count, fail = pipelined.register_script(COUNT), pipelined.register_script(FAIL)
    for expected in (1, 2, 3):
        await redis.script_flush()
        answers = await asyncio.gather(
            count(keys=["a"], args=[1]), fail(keys=["b"]), pipelined.execute("INCR", "c"), return_exceptions=True
        )
        assert (answers[0], answers[2]) == ([expected, b"a"], expected)
        assert isinstance(answers[1], ResponseError)
        assert await count(keys=["d"], args=[1]) == [expected, b"d"]


async def test_what_was_lost_with_the_connection_is_asked_once_more(
    pipelined: PipelinedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = Pipeline.parse_response
    parsed = 0

    async def break_at_the_second(pipeline: Pipeline, *arguments: object, **options: object) -> object:
        nonlocal parsed
        parsed += 1
        answer = await parse(pipeline, *arguments, **options)  # type: ignore[arg-type]
        if parsed == 2:
            raise RedisConnectionError("cut after the work was done")
        return answer

    monkeypatch.setattr(Pipeline, "parse_response", break_at_the_second)
    answers = await asyncio.gather(*(pipelined.execute("SET", f"k{number}", number) for number in range(3)))
    assert answers == [True] * 3
    assert parsed == 5


async def test_redis_away_is_each_caller_s_unavailable() -> None:
    async with aclosing(make_redis(RedisSettings(redis_url=SecretStr("redis://127.0.0.1:1/0")))) as nowhere:
        script = PipelinedRedis(nowhere).register_script(COUNT)

        async def ask() -> None:
            with redis_errors():
                await script(keys=["a"], args=[1])

        outcomes = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3


async def test_large_values_don_t_all_go_in_one_piece(pipelined: PipelinedRedis, round_trips: list[int]) -> None:
    value = "x" * 3_000_000
    await asyncio.gather(*(pipelined.execute("SET", f"k{number}", value) for number in range(5)))
    assert round_trips == [2, 2, 1]
    assert await pipelined.execute("STRLEN", "k4") == len(value)
