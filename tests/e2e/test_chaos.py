"""`make chaos`, short: executor-rest and MongoDB are killed, gateway and RabbitMQ restarted at once, all under load,
and the ledger balances. Nobody falls silent, and auth, notifier, executor-upload and Redis come to no harm here.
"""

import asyncio
import json
import os
import sys

import pytest

from tests.support.run_env import ROOT, run_dir

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]

SEED, JOBS, FAULTS = 206, 120, 3


async def test_nothing_is_lost() -> None:
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    folder = run_dir().with_name(f"{run_dir().name}-chaos")
    arguments = ["--jobs", str(JOBS), "--faults", str(FAULTS), "--seed", str(SEED), "--no-stops", "--spread", "3"]
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
    faults = ["kill -9 executor-rest", "kill -9 mongo", "restart gateway + restart rabbitmq"]
    assert [row["fault"] for row in result["rows"]] == faults
