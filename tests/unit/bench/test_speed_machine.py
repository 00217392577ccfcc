"""What the bench asks of the machine, and learns of it."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.bench.speed import machine
from tests.bench.speed.__main__ import asked_for
from tests.support.waiting import eventually


async def test_flushes_are_timed_until_the_end_of_the_block(tmp_path: Path) -> None:
    seconds: list[float] = []
    async with machine.flushes(tmp_path, seconds):
        await eventually(lambda: len(seconds) >= 2)
    assert all(0 < each < 60 for each in seconds)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert os.listdir(tmp_path) == []


def test_the_processors_are_kept_awake_only_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latency = tmp_path / "latency"
    latency.touch()
    monkeypatch.setattr(machine, "LATENCY", latency)
    with machine.awake(False):
        assert latency.read_bytes() == b""
    with machine.awake(True):
        assert latency.read_bytes() == bytes(4)


def test_keeping_them_awake_is_refused_where_it_is_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.bench.speed.__main__.LATENCY", tmp_path / "none")
    assert not asked_for([]).awake
    with pytest.raises(SystemExit):
        asked_for(["--awake"])
    assert "--awake needs" in capsys.readouterr().err
