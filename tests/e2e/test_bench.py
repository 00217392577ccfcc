"""`make bench` in small: it runs and has every figure. What the figures are isn't asked: other tests run beside it."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.support.run_env import ROOT, run_dir

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]

LATENCIES = {"enqueue_ms", "accept_to_callback_ms", "enqueue_to_callback_ms"}
PROCESSES = {"gateway", "executor-rest", "notifier", "rabbitmq", "mongo", "redis", "nginx (Flickr)"}


async def test_the_bench_has_every_figure(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    folder = run_dir().with_name(f"{run_dir().name}-bench")
    process = await asyncio.create_subprocess_exec(
        *("make", "bench", f"ARGS=--smoke --json {tmp_path / 'bench.json'}"),
        cwd=ROOT,
        env=environment | {"RUN_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    figures = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert figures["chain"]["per_second"] > 0
    assert figures["ratio"] > 0
    assert figures["enqueue"]["per_second"] > 0
    for name in ("50/s", "saturation"):
        load = figures["loads"][name]
        assert load["callbacks_per_second"] > 0
        assert all(load[latency]["p99"] > 0 for latency in LATENCIES)
        assert load["cpu_ms_per_job"].keys() > PROCESSES
        assert load["resident_most"].keys() > PROCESSES
    assert [pair["ratio"] > 0 for pair in figures["scaling"]] == [True]
    assert figures["backlog"]["long"]["per_second"] > 0
    assert figures["memory"]["after"].keys() > PROCESSES
    assert len(figures["targets"]) >= 4
    assert not folder.exists(), "the bench's stack is forgotten"
    assert "| target " in out.decode()
