"""`make demo` against the running stack: every step ticked, and the stack left running."""

import asyncio
import os
import sys

import pytest

from tests.support.run_env import ROOT, run_dir
from tests.support.stack_processes import StackProcesses

pytestmark = pytest.mark.few


async def demo(**variables: str) -> tuple[int, str]:
    """Run the demo; exit status and everything it said."""
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local.demo"),
        cwd=ROOT,
        env=environment | {"RUN_DIR": str(run_dir())} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_every_step_is_ticked_and_the_stack_goes_on(processes: StackProcesses) -> None:
    status, said = await demo()
    assert status == 0, said
    assert said.count("✓") == 18, said
    assert "✗" not in said
    assert "\x1b" not in said, "no colours where there is no terminal"
    assert "queued → retrying → completed" in said
    assert "as handed over" in said
    assert said.count("both signatures verified") == 4
    await processes.all_ready()


async def test_a_demo_that_cannot_be_shown_ends_with_1_and_the_reason(processes: StackProcesses) -> None:
    status, said = await demo(MOCK_FLICKR="false")
    assert status == 1
    assert said.startswith("Error: ")
