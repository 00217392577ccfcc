"""`test`: run pytest against a stack of its own.

Most tests wait rather than work, so several workers share them; then those marked `few`, which measure time or kill
processes of their own, in three; then those marked `timed`, which measure time closely, beside nothing but each other;
then those marked `alone`, which kill what all share. The last two mostly wait: the unit tests, which need no stack,
have the machine meanwhile as far as they leave it idle.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from deploy.local.stack import envfile
from deploy.local.stack.down import clean, down
from deploy.local.stack.places import Places
from deploy.local.stack.screen import complain, say
from deploy.local.stack.status import NOT_RUNNING, status
from deploy.local.stack.up import up

ROUNDS = (
    ("not alone and not few and not timed", "--numprocesses", "4", "--dist", "loadfile"),
    # Not the files with the most tests first, as is the default: the longest here is one test.
    ("few and not alone and not timed", "--numprocesses", "3", "--dist", "loadfile", "--no-loadscope-reorder"),
)
"""The tests of each round, by their marks, and how they are run."""
QUIET_ROUNDS = (
    ("timed and not alone", "--numprocesses", "4", "--dist", "worksteal"),
    ("alone",),
)
"""The same of those beside which the unit tests run."""
UNIT = "tests/unit"
LEAST = 19
"""The nice value of what may wait for everything else."""
NOTHING_SELECTED = 5
"""Pytest's exit status when a selection holds no test."""

SETTINGS = Path(__file__).resolve().parents[1] / "test.env"


def run_tests(places: Places, environ: Mapping[str, str], pytest_arguments: list[str]) -> int:
    """Bring the stack up with the test settings on free ports, run pytest, stop the stack again; pytest's exit status.

    It is that of the first round that failed. `tests/unit` among the arguments are run beside those that run alone.

    A stack that was up already in this run folder is used and left up; one left over from an earlier run is forgotten
    first. The tests find everything through RUN_DIR and the file `env` in it.
    """
    started = status(places, quietly=True) == NOT_RUNNING
    if started:
        clean(places)
    try:
        # With a stack that runs, this starts what has died of it.
        up(places, envfile.read(SETTINGS) | dict(environ) if started else {}, free_ports=True)
        outcome = _rounds(places, environ, pytest_arguments)
    finally:
        if started:
            down(places)
    if outcome:
        complain(f"The tests failed. The logs of their processes are in {places.shown(places.logs)}/.")
    return outcome


def _rounds(places: Places, environ: Mapping[str, str], arguments: list[str]) -> int:
    ours = [each for each in arguments if each != UNIT]

    def run(rounds: Iterable[tuple[str, ...]]) -> list[int]:
        return [_pytest(places, environ, [*ours, "-m", *each]) for each in rounds]

    if ours == arguments:
        return _all(*run((*ROUNDS, *QUIET_ROUNDS)))
    options = [each for each in ours if not each.startswith("tests/")]
    outcomes = run(ROUNDS)
    with _beside(places, environ, [UNIT, *options, "--numprocesses", "2"]) as unit_tests:
        return _all(*outcomes, *run(QUIET_ROUNDS), unit_tests())


def _pytest(places: Places, environ: Mapping[str, str], arguments: list[str]) -> int:
    say(f"Running pytest {' '.join(arguments)}")
    command, environment = _command(places, environ, arguments)
    return subprocess.run(command, cwd=places.root, env=environment, check=False).returncode


def _command(places: Places, environ: Mapping[str, str], arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """A run of pytest and its environment."""
    # Another stack's `env`, exported by the caller's shell, must not send the tests there.
    ours = envfile.read(places.env_file)
    environment = {name: value for name, value in environ.items() if name not in ours} | {"RUN_DIR": str(places.run)}
    return [sys.executable, "-m", "pytest", *arguments], environment


@contextlib.contextmanager
def _beside(places: Places, environ: Mapping[str, str], arguments: list[str]) -> Iterator[Callable[[], int]]:
    """Run pytest beside the block, behind everything else on the machine; what is given waits for it and shows it."""
    say(f"Beside the next: pytest {' '.join(arguments)}")
    command, environment = _command(places, environ, arguments)
    log = places.logs / "unit-tests.log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, cwd=places.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    _put_last(running.pid)

    def finish() -> int:
        outcome = running.wait()
        say(log.read_text(encoding="utf-8", errors="replace"))
        return outcome

    try:
        yield finish
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait()


def _put_last(group: int) -> None:
    """Give a session the least claim on the processors, also where the kernel shares them out by session."""
    os.setpriority(os.PRIO_PGRP, group, LEAST)
    with contextlib.suppress(OSError):
        Path(f"/proc/{group}/autogroup").write_text(str(LEAST), encoding="ascii")


def _all(*outcomes: int) -> int:
    """The first failure; success if there is none, unless nothing was run at all."""
    run = [outcome for outcome in outcomes if outcome != NOTHING_SELECTED]
    return next((outcome for outcome in run if outcome), 0) if run else NOTHING_SELECTED
