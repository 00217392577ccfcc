"""Resealing goes through places, replaces what it read, waits for what has to wait, and tells what is left."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from flickrhub_common.commands import Reseal as ResealCommand
from flickrhub_common.commands import carry_out, read_command
from flickrhub_common.errors import Unavailable
from flickrhub_common.resealing import InUse, Left, Reseal, Sealed, reseal, sealed_in
from flickrhub_common.sealing import KeyRing, key_id

OLD = "k1:" + b64encode(b"1" * 32).decode()
NEW = "k2:" + b64encode(b"2" * 32).decode()
BEFORE, RING = KeyRing.parse(OLD), KeyRing.parse(f"{NEW},{OLD}")


@dataclass
class FakePlace:
    """Values in memory by owner; those of `taken` change meanwhile.

    Those of `open` can't be replaced yet: one of them ends each time that somebody has looked at which there are, and
    one each time that somebody has gone through all. In `held` walks somebody else has everything in hand.
    """

    values: dict[str, str]
    taken: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    away: bool = False
    held: int = 0
    name: str = "here"
    walks: int = 0
    looks: int = 0

    async def under_other_keys(self, newest: str) -> AsyncGenerator[Sealed, None]:
        self.walks += 1
        if self.away:
            raise Unavailable("mongo")
        if self.walks <= self.held:
            raise InUse("somebody has it")
        for owner, text in list(self.values.items()):
            if key_id(text) != newest and owner not in self.open:
                yield Sealed(owner, "secret", owner, text)
        del self.open[:1]

    async def swap(self, old: Sealed, text: str) -> bool:
        if old.ref in self.taken:
            return False
        self.values[old.ref] = text
        return True

    async def waiting(self, newest: str) -> Left:
        self.looks += 1
        left = Left()
        for owner in self.open:
            left.add(owner, self.values[owner])
        del self.open[:1]
        return left


def a_place(count: int = 3, **more: Any) -> FakePlace:
    values = {f"job-{n}": BEFORE.seal(f"secret {n}", purpose="secret", owner=f"job-{n}") for n in range(count)}
    return FakePlace(values, **more)


async def test_everything_opens_with_the_new_key_alone() -> None:
    place = a_place()
    tally = await reseal(place, RING)
    assert (tally.resealed, tally.left) == (3, {})
    alone = KeyRing.parse(NEW)
    assert [alone.open(text, purpose="secret", owner=owner) for owner, text in place.values.items()] == [
        "secret 0",
        "secret 1",
        "secret 2",
    ]


async def test_a_second_run_has_nothing_to_do() -> None:
    place = a_place()
    await reseal(place, RING)
    before = dict(place.values)
    assert (await reseal(place, RING)).resealed == 0
    assert place.values == before


async def test_what_somebody_else_has_changed_meanwhile_is_theirs() -> None:
    place = a_place(taken={"job-1"})
    before = place.values["job-1"]
    assert (await reseal(place, RING)).resealed == 2
    assert place.values["job-1"] == before


async def test_what_does_not_open_is_left_and_told_by_its_key() -> None:
    place = a_place()
    place.values["job-1"] = place.values["job-0"]  # moved to another owner
    place.values["lost"] = KeyRing.parse("k0:" + b64encode(b"0" * 32).decode()).seal(
        "x", purpose="secret", owner="lost"
    )
    tally = await reseal(place, RING)
    assert (tally.resealed, tally.left) == (2, {"k1": 1, "k0": 1})


async def test_a_job_that_ends_just_after_the_walk_has_passed_it_is_counted() -> None:
    place = a_place(open=["job-0", "job-1"])
    tally = await reseal(place, RING)
    assert place.open == []
    under_the_old = sum(key_id(text) == "k1" for text in place.values.values())
    assert (under_the_old, tally.left) == (1, {"k1": 2}), "one ended before the walk, one after"
    assert not await Reseal([a_place(open=["job-0", "job-1"])], RING)()


async def test_open_jobs_are_waited_for_and_only_then_is_everything_gone_through_once() -> None:
    place, next_place = a_place(open=["job-0", "job-1", "job-2"]), a_place(name="next")
    assert await Reseal([place, next_place], RING, pause_seconds=0)(wait_seconds=60)
    assert {key_id(text) for text in place.values.values()} == {"k2"}
    assert (place.walks, next_place.walks) == (1, 1)
    assert place.looks == 3 + 1 + 1, "three with open jobs, one without, and the last before the walk"


async def test_without_waiting_it_says_that_something_is_left_and_leaves_the_next_place_alone() -> None:
    place, next_place = a_place(open=["job-0", "job-1"]), a_place()
    assert not await Reseal([place, next_place], RING, pause_seconds=0)()
    assert (place.walks, next_place.walks) == (1, 0)


async def test_what_does_not_open_in_one_place_keeps_nobody_from_the_next() -> None:
    place, next_place = a_place(), a_place()
    place.values["job-1"] = place.values["job-0"]
    assert not await Reseal([place, next_place], RING)(wait_seconds=60)
    assert {key_id(text) for text in next_place.values.values()} == {"k2"}


async def test_looks_are_further_and_further_apart_and_never_past_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 1000.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr("flickrhub_common.resealing.asyncio.sleep", sleep)
    monkeypatch.setattr("flickrhub_common.resealing.time.monotonic", lambda: now)
    many = [f"job-{n}" for n in range(3)] * 100
    place = a_place(open=many)
    assert not await Reseal([place], RING)(wait_seconds=200)
    assert slept[:3] == [1.0, 1.5, 2.25]
    assert max(slept) == 30
    assert now == 1200
    assert place.walks == 1


async def test_which_jobs_are_waited_for_is_logged_and_that_of_a_few_only() -> None:
    place = a_place(30, open=[f"job-{n}" for n in range(30)])
    with capture_logs() as logs:
        await Reseal([place], RING)()
    (said,) = [line for line in logs if line["event"] == "waiting_under_older_keys"]
    assert said["counts"] == {"k1": 30}
    assert said["owners"] == [f"job-{n}" for n in range(20)]


async def test_what_somebody_has_in_hand_is_waited_for_too() -> None:
    place = a_place(held=2)
    assert await Reseal([place], RING, pause_seconds=0)(wait_seconds=60)
    assert place.walks == 3


@pytest.mark.parametrize(
    ("more", "status"),
    [({}, 0), ({"open": ["job-1"]}, 1), ({"away": True}, 2), ({"held": 9}, 2)],
    ids=["all done", "an open job", "away", "in use"],
)
async def test_the_exit_status_tells_how_it_went(more: dict[str, Any], status: int) -> None:
    assert await carry_out(Reseal([a_place(3, **more)], RING), wait_seconds=0) == status


async def test_a_store_that_is_away_while_things_are_prepared_is_told_the_same_way() -> None:
    async def prepare() -> None:
        raise Unavailable("mongo")

    assert await carry_out(Reseal([a_place()], RING), wait_seconds=0, prepare=prepare) == 2


@pytest.mark.parametrize(
    ("arguments", "command"),
    [([], None), (["reseal"], ResealCommand(0)), (["reseal", "--wait", "90"], ResealCommand(90))],
    ids=["nothing", "reseal", "with waiting"],
)
def test_a_command_line_is_read(arguments: list[str], command: ResealCommand | None) -> None:
    assert read_command("flickrhub_auth", arguments) == command


@pytest.mark.parametrize("arguments", [["resael"], ["reseal", "--wait", "-1"], ["reseal", "--wait", "nan"], ["--x"]])
def test_a_command_line_that_makes_no_sense_ends_the_process(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_command("flickrhub_auth", arguments)
    assert caught.value.code == 2


WITHOUT = {
    "nothing": b"",
    "an array": b"[1]",
    "a deep one": b"[" * 20_000,
    "an empty object": b"{}",
    "no callback": b'{"job_id":"a","callback":null}',
    "no secret": b'{"job_id":"a","callback":{"url":"u"}}',
    "a job id that is none": b'{"job_id":5,"callback":{"sealed_secret":"v1.k1.x"}}',
    "a secret that is none": b'{"job_id":"a","callback":{"sealed_secret":5}}',
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("body", WITHOUT.values(), ids=WITHOUT)
def test_a_message_without_a_sealed_secret_has_none(body: bytes) -> None:
    assert sealed_in(body) is None


def test_a_message_with_a_sealed_secret_tells_whose() -> None:
    assert sealed_in(b'{"job_id":"a","callback":{"url":"u","sealed_secret":"v1.k1.x"}}') == ("a", "v1.k1.x")
