"""Starting one process: its environment, its pid file, and whether a pid is still that process."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.stack import envfile, identity, launch, wait
from deploy.local.stack.places import Places
from deploy.local.stack.programs import Program
from deploy.local.stack.status import NOT_RUNNING, status

ODD = {
    "PERCENT": "100%(here)s %% %d",
    "QUOTES": """ 'single' "double" `back` \\ """,
    "COMMAS": 'a="b",c=d ; # no comment',
    "LINES": "one\ntwo\n\n",
    "SHELL_TALK": "$HOME $(id) !! ~ *",
    "UNICODE": "żółw 🦆",
    "EMPTY": "",
}


@pytest.fixture
def sleeper(places: Places) -> Iterator[subprocess.Popen[bytes]]:
    """A process started the way supervisor starts them, ready."""
    Program("sleeper", [shutil.which("sleep") or "sleep", "60"]).write(places)
    command = [sys.executable, "-I", "-S", str(Path(launch.__file__)), "programs/sleeper.json"]
    with subprocess.Popen(command, cwd=places.run) as process:
        assert wait.until((places.pids / "sleeper.pid").exists, seconds=10)
        yield process
        process.kill()


def run_launch(places: Places, name: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", "-S", str(Path(launch.__file__)), f"programs/{name}.json"]
    return subprocess.run(command, cwd=places.run, check=False)


def test_every_value_reaches_the_process_unchanged(places: Places) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    Program("odd", [sys.executable, "-I", "-c", code], ODD | {"PYTHONIOENCODING": "utf-8"}).write(places)
    run_launch(places, "odd")
    seen = json.loads((places.logs / "odd.log").read_text(encoding="utf-8"))
    assert {name: seen[name] for name in ODD} == ODD


def test_the_env_file_gives_every_value_back_to_a_shell_and_to_python(places: Places) -> None:
    envfile.write(places.env_file, ODD)
    assert envfile.read(places.env_file) == ODD
    script = f". '{places.env_file}'; " + "; ".join(f"printf '%s\\0' \"${name}\"" for name in ODD)
    shell = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={})
    assert shell.stdout.decode().split("\0")[:-1] == list(ODD.values())
    assert places.env_file.stat().st_mode & 0o777 == 0o600


def test_the_pid_file_names_the_program_itself(places: Places, sleeper: subprocess.Popen[bytes]) -> None:
    assert int((places.pids / "sleeper.pid").read_text(encoding="utf-8")) == sleeper.pid
    assert wait.until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text(encoding="utf-8") == "sleep\n", seconds=10)


def test_a_started_process_is_recognised_until_it_ends(places: Places, sleeper: subprocess.Popen[bytes]) -> None:
    assert identity.left_running(places.programs).keys() == {"sleeper"}
    sleeper.kill()
    # Dead but not waited for: a zombie has a pid and a start time, too.
    assert wait.until(lambda: not identity.left_running(places.programs), seconds=10)


def test_a_later_process_with_the_same_pid_is_not_ours(places: Places, sleeper: subprocess.Popen[bytes]) -> None:
    found = identity.left_running(places.programs)["sleeper"]
    for stranger in (replace(found, started="1"), replace(found, boot="another boot")):
        assert not stranger.is_alive()
        stranger.send(signal.SIGKILL)
    assert found.is_alive()
    assert sleeper.poll() is None


def test_a_program_that_is_not_there_is_named_in_its_log(places: Places) -> None:
    Program("lost", ["/nowhere/lost"]).write(places)
    assert run_launch(places, "lost").returncode == 1
    text = (places.logs / "lost.log").read_text(encoding="utf-8")
    assert text == "lost: /nowhere/lost can't be started: No such file or directory\n"


def test_a_log_is_set_aside_at_a_start_when_it_has_grown_too_large(places: Places) -> None:
    Program("chatty", [sys.executable, "-I", "-c", "print('again')"]).write(places)
    log = places.logs / "chatty.log"
    log.touch()
    os.truncate(log, launch.LARGEST_LOG + 1)
    run_launch(places, "chatty")
    assert log.read_text(encoding="utf-8") == "again\n"
    assert (places.logs / "chatty.log.1").stat().st_size == launch.LARGEST_LOG + 1


@pytest.mark.usefixtures("sleeper")
def test_status_names_what_runs_on_without_its_supervisor(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(places) == NOT_RUNNING
    assert "without it still run: sleeper." in capsys.readouterr().out
