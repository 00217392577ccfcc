"""The delay ladder walked by a model of a topic broker over the very bindings that ``declare`` makes."""

from typing import Any, cast

import pytest
from aio_pika.abc import AbstractChannel
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.topology import (
    DELAY_EXCHANGE,
    DELAY_UNIT_SECONDS,
    MAX_DELAY_SECONDS,
    WORK_QUEUES,
    declare,
    delay_key,
    delay_units,
)


class _Declared:
    """An exchange or queue, as far as ``declare`` uses it."""

    def __init__(self, broker: "_Broker", name: str, kind: str) -> None:
        self._broker = broker
        self.name = name
        self.kind = kind

    async def bind(self, exchange: "_Declared | str", key: str) -> None:
        source = exchange if isinstance(exchange, str) else exchange.name
        self._broker.bindings.setdefault(source, []).append((key, self))


class _Broker:
    """Takes declarations, then routes: ``where`` follows a message until it lies in a queue that isn't for waiting."""

    def __init__(self) -> None:
        self.bindings: dict[str, list[tuple[str, _Declared]]] = {}
        self.arguments: dict[str, dict[str, Any]] = {}

    async def declare_exchange(self, name: str, _kind: object, **_more: Any) -> _Declared:
        return _Declared(self, name, "exchange")

    async def declare_queue(self, name: str, *, arguments: dict[str, Any], **_more: Any) -> _Declared:
        self.arguments[name] = arguments
        return _Declared(self, name, "queue")

    def where(self, exchange: str, key: str) -> tuple[list[str], float]:
        """The queues a message ends in, and for how many seconds it waited on its way there."""
        ends, waited, at = [], 0.0, [(exchange, 0.0)]
        while at:
            source, so_far = at.pop()
            for target in {
                target.name: target for pattern, target in self.bindings[source] if _fits(pattern, key)
            }.values():
                if target.kind == "exchange":
                    at.append((target.name, so_far))
                elif "x-message-ttl" in self.arguments[target.name]:
                    seconds = self.arguments[target.name]["x-message-ttl"] / 1000
                    at.append((self.arguments[target.name]["x-dead-letter-exchange"], so_far + seconds))
                else:
                    ends.append(target.name)
                    waited = so_far
        return ends, waited


def _fits(pattern: str, key: str) -> bool:
    """AMQP's topic rule: ``*`` is one word, ``#`` any number of them, none included."""
    return _words_fit(pattern.split("."), key.split("."))


def _words_fit(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_words_fit(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in {"*", words[0]} and _words_fit(pattern[1:], words[1:])


@pytest.fixture(scope="module")
async def broker() -> _Broker:
    made = _Broker()
    await declare(cast("AbstractChannel", made))
    return made


@given(
    seconds=st.floats(0, MAX_DELAY_SECONDS) | st.floats(0, 60) | st.sampled_from([0.25 * 2**n for n in range(20)]),
    queue=st.sampled_from(sorted(WORK_QUEUES)),
)
def test_a_message_waits_exactly_its_delay_and_comes_to_its_queue_once(
    broker: _Broker, seconds: float, queue: str
) -> None:
    ends, waited = broker.where(DELAY_EXCHANGE, delay_key(seconds, queue))
    assert ends == [queue]
    assert waited == delay_units(seconds) * DELAY_UNIT_SECONDS
    assert seconds - 1e-6 <= waited <= max(seconds + DELAY_UNIT_SECONDS, DELAY_UNIT_SECONDS)


@given(seconds=st.floats(allow_nan=False, allow_infinity=True))
def test_any_delay_is_kept_within_the_ladders_reach(seconds: float) -> None:
    assert 1 <= delay_units(seconds) * DELAY_UNIT_SECONDS / DELAY_UNIT_SECONDS <= MAX_DELAY_SECONDS / DELAY_UNIT_SECONDS


@pytest.mark.parametrize(("pattern", "key", "fits"), [("#.a", "a", True), ("*.1.#", "0.1", True), ("*.1", "1", False)])
def test_the_model_knows_topics(pattern: str, key: str, fits: bool) -> None:
    assert _fits(pattern, key) is fits
