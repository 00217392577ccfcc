"""Where the running servers are: from the environment, else from the file `env` that the local stack writes."""

import os
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_dir() -> Path:
    """The local stack's folder: RUN_DIR, relative to the repository, else `.run`."""
    return ROOT / (os.environ.get("RUN_DIR") or ".run")


def run_env() -> dict[str, str]:
    """Every URL, port and credential of this run by name; a variable set in the environment wins over the file."""
    file = run_dir() / "env"
    values: dict[str, str] = {}
    if file.is_file():
        assignments = shlex.split(file.read_text(encoding="utf-8"), comments=True)
        values = dict(word.removeprefix("export ").split("=", 1) for word in assignments if "=" in word)
    return {**values, **os.environ}


def needed(name: str) -> str:
    """One of these values; without it the test fails with a sentence that says what to run."""
    value = run_env().get(name)
    if not value:
        pytest.fail(
            f"{name} isn't known, so no server can be reached: run `make test`, or `make up` before pytest.",
            pytrace=False,
        )
    return value
