"""`make chaos`, short: RabbitMQ and executor-upload are killed, then Redis together with a restart of the gateway, all
under load, and the ledger balances. Nobody falls silent, and auth, executor-rest, notifier and MongoDB aren't struck.
"""

import asyncio
import json
import os
import sys

import pytest

from tests.support.run_env import ROOT, run_dir

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]

SEED, JOBS, FAULTS = 89, 120, 3


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
    faults = ["kill -9 rabbitmq", "kill -9 executor-upload", "kill -9 redis + restart gateway"]
    assert [row["fault"] for row in result["rows"]] == faults
