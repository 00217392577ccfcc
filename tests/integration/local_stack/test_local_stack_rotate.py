"""A rotation that was broken off, at any of its steps, goes on where it was, and no process lacks a key it needs."""

import itertools
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import caller, credentials, ports, programs, readiness, rotate
from deploy.local.stack.errors import NotReady
from deploy.local.stack.places import Places
from deploy.local.stack.plan import make

HOLDERS = ("auth", "gateway", "notifier")
STEPS = 3 * len(HOLDERS) + len(HOLDERS)
"""Each is started anew with three rings, and resealed."""


@dataclass
class World:
    """What the rotation does to processes: it notes with which ring each runs, and breaks off at one step."""

    places: Places
    breaks_at: int | None = None
    steps: Any = field(default_factory=itertools.count)
    rings: dict[str, list[str]] = field(default_factory=dict)
    resealed: list[str] = field(default_factory=list)

    def step(self) -> None:
        if next(self.steps) == self.breaks_at:
            raise NotReady("gateway", "somebody pulled the plug")

    def answers(self) -> bool:
        return True

    def end(self, names: list[str], *, seconds: float) -> bool:
        self.step()
        return True

    def begin(self, names: list[str]) -> None:
        for name in names:
            self.rings[name] = self.given(name)
        everybody_can_open = set.intersection(*(set(ring) for ring in self.rings.values()))
        assert {ring[0] for ring in self.rings.values()} <= everybody_can_open

    def reseal(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.step()
        name = command[command.index("reseal") - 1]
        assert {ring[0] for ring in self.rings.values()} == {self.rings["auth"][0]}, "one key seals"
        self.resealed.append(name)
        return subprocess.CompletedProcess(command, 0)

    def given(self, name: str) -> list[str]:
        spec = json.loads((self.places.programs / f"{name}.json").read_text(encoding="utf-8"))
        ring: str = spec["env"]["ENCRYPTION_KEYS"]
        return [key.partition(":")[0] for key in ring.split(",")]


@pytest.fixture
def world(places: Places, monkeypatch: pytest.MonkeyPatch) -> World:
    settings, secrets = caller.settings({}), credentials.load_or_make(places.secrets_file)
    plan = make(settings, secrets, all_ports=ports.chosen(settings))
    plan.save(places.plan_file)
    programs.prepare(plan, places, secrets, {})
    world = World(places)
    world.rings = {name: world.given(name) for name in HOLDERS}
    monkeypatch.setattr(rotate, "Supervisor", lambda _: world)
    monkeypatch.setattr(readiness, "wait_ready", lambda *_: None)
    monkeypatch.setattr(subprocess, "run", world.reseal)
    return world


@pytest.mark.parametrize("breaks_at", range(STEPS))
def test_a_rotation_that_was_broken_off_goes_on_where_it_was(world: World, places: Places, breaks_at: int) -> None:
    world.breaks_at = breaks_at
    with pytest.raises(NotReady):
        rotate.rotate_keys(places, wait_seconds=1)
    world.resealed.clear()
    rotate.rotate_keys(places, wait_seconds=1)
    (ring,) = {tuple(ring) for ring in world.rings.values()}
    # Broken off while the old key is taken away: nothing needs it any more, so the next rotation is one of its own.
    assert ring == (("local3",) if breaks_at >= STEPS - len(HOLDERS) else ("local2",))
    assert len(world.resealed) == len(HOLDERS), "whatever had been resealed by then: there may be more"


def test_the_next_key_never_has_the_id_of_one_before(world: World, places: Places) -> None:
    for number in (2, 3):
        rotate.rotate_keys(places, wait_seconds=1)
        assert world.rings == {name: [f"local{number}"] for name in HOLDERS}
    assert credentials.load_or_make(Path(places.secrets_file)).encryption_keys.startswith("local3:")
