"""The OpenAPI document against the running gateway: a short run of what `make fuzz` does at length."""

import asyncio
import os
import sys

import pytest

from tests.support.run_env import ROOT, run_dir


@pytest.mark.timeout(240)  # about 15 s by itself
async def test_every_reply_to_made_up_requests_is_as_the_document_says() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fuzz", "--running", "--cases", "100", "--seed", "1"),
        cwd=ROOT,
        env={**os.environ, "RUN_DIR": str(run_dir())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
