"""What an operator types, at the tests' own stack."""

import asyncio
import os
import sys

from tests.support.run_env import ROOT, run_dir, run_env


async def stack(*arguments: str, within: float = 120.0) -> tuple[int, str]:
    """Run a command of the local stack; its exit status and everything it said."""
    environment = {name: value for name, value in os.environ.items() if name not in run_env() or name == "PATH"}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local", *arguments),
        cwd=ROOT,
        env=environment | {"RUN_DIR": str(run_dir())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await asyncio.wait_for(running.communicate(), within))[0].decode()
    assert running.returncode is not None
    return running.returncode, output
