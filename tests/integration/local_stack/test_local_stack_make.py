"""The Makefile: what it offers, and what a user reads when there is nothing to do."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def make(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-s", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False).stdout


def test_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    phony = next(line for line in text.splitlines() if line.startswith(".PHONY:"))
    listed = [line.split()[1] for line in make("help").splitlines()]
    assert sorted(listed) == sorted(phony.split()[1:])
    assert make() == make("help")


def test_down_and_status_say_that_nothing_runs_and_leave_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "never"
    assert make("down", f"RUN_DIR={folder}") == "Nothing is running.\n"
    assert make("status", f"RUN_DIR={folder}") == "FlickrHub isn't running here (make up starts it).\n"
    assert make("clean", f"RUN_DIR={folder}", f"TEST_RUN_DIR={folder}") == ""
    assert not folder.exists()
