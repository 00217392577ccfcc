"""`make chaos`, short: everything dies under load, and the ledger balances."""

import asyncio
import json
import os
import sys

import pytest

from tests.support.run_env import ROOT, run_dir

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]

SEEDS = [4]
JOBS, FAULTS = 120, 3


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost(seed: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    folder = run_dir().with_name(f"{run_dir().name}-chaos")
    arguments = ["--jobs", str(JOBS), "--faults", str(FAULTS), "--seed", str(seed), "--no-stops", "--spread", "3"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *arguments),
        cwd=ROOT,
        env=environment | {"CHAOS_RUN_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    result = json.loads((folder / "chaos.json").read_text(encoding="utf-8"))
    assert (result["figures"]["jobs with a 202"], result["figures"]["lost"]) == (JOBS, 0)
    assert len(result["rows"]) == FAULTS
