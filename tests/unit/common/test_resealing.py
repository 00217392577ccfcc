"""Resealing goes through places, replaces what it read, waits for what has to wait, and tells what is left."""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from flickrhub_common.commands import Reseal as ResealCommand
from flickrhub_common.commands import carry_out, read_command
from flickrhub_common.errors import Unavailable
from flickrhub_common.resealing import Reseal, Sealed, reseal, sealed_in
from flickrhub_common.sealing import KeyRing, key_id

OLD = "k1:" + b64encode(b"1" * 32).decode()
NEW = "k2:" + b64encode(b"2" * 32).decode()
BEFORE, RING = KeyRing.parse(OLD), KeyRing.parse(f"{NEW},{OLD}")


@dataclass
class FakePlace:
    """Values in memory by owner; `taken` changes meanwhile, the `open_rounds` say how many wait in each round."""

    values: dict[str, str]
    taken: set[str] = field(default_factory=set)
    open_rounds: list[int] = field(default_factory=list)
    away: bool = False
    name: str = "here"

    async def under_other_keys(self, newest: str) -> AsyncIterator[Sealed]:
        if self.away:
            raise Unavailable("mongo")
        for owner, text in list(self.values.items()):
            if key_id(text) != newest:
                yield Sealed(owner, "secret", owner, text)

    async def swap(self, old: Sealed, text: str) -> bool:
        if old.ref in self.taken:
            return False
        self.values[old.ref] = text
        return True

    async def waiting(self, newest: str) -> Mapping[str, int]:
        count = self.open_rounds.pop(0) if self.open_rounds else 0
        return {"k1": count} if count else {}


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


async def test_open_jobs_are_waited_for() -> None:
    place = a_place(open_rounds=[2, 1, 0])
    assert await Reseal([place], RING, pause_seconds=0)(wait_seconds=60)
    assert place.open_rounds == []


async def test_without_waiting_it_says_that_something_is_left() -> None:
    assert not await Reseal([a_place(open_rounds=[2, 2])], RING, pause_seconds=0)()


@pytest.mark.parametrize(("more", "status"), [({}, 0), ({"open_rounds": [1]}, 1), ({"away": True}, 2)], ids=str)
async def test_the_exit_status_tells_how_it_went(more: dict[str, Any], status: int) -> None:
    assert await carry_out(Reseal([a_place(3, **more)], RING), wait_seconds=0) == status


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
