"""`test`: run pytest against a stack of its own.

Most tests wait rather than work, so several workers share them; then those marked `few`, which measure time or kill
processes of their own, in three; then those marked `alone`, which bear nothing beside them.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.stack import envfile
from deploy.local.stack.down import clean, down
from deploy.local.stack.places import Places
from deploy.local.stack.screen import complain, say
from deploy.local.stack.status import NOT_RUNNING, status
from deploy.local.stack.up import up

ROUNDS = (
    ("not alone and not few", "--numprocesses", "4", "--dist", "loadfile"),
    ("few", "--numprocesses", "3", "--dist", "loadfile"),
    ("alone",),
)
"""The tests of each round, by their marks, and how they are run."""
NOTHING_SELECTED = 5
"""Pytest's exit status when a selection holds no test."""

SETTINGS = Path(__file__).resolve().parents[1] / "test.env"


def run_tests(places: Places, environ: Mapping[str, str], pytest_arguments: list[str]) -> int:
    """Bring the stack up with the test settings on free ports, run pytest, stop the stack again; pytest's exit status.

    It is that of the first round that failed.

    A stack that was up already in this run folder is used and left up; one left over from an earlier run is forgotten
    first. The tests find everything through RUN_DIR and the file `env` in it.
    """
    started = status(places, quietly=True) == NOT_RUNNING
    if started:
        clean(places)
    try:
        # With a stack that runs, this starts what has died of it.
        up(places, envfile.read(SETTINGS) | dict(environ) if started else {}, free_ports=True)
        outcome = _all(*(_pytest(places, environ, [*pytest_arguments, "-m", *each]) for each in ROUNDS))
    finally:
        if started:
            down(places)
    if outcome:
        complain(f"The tests failed. The logs of their processes are in {places.shown(places.logs)}/.")
    return outcome


def _pytest(places: Places, environ: Mapping[str, str], arguments: list[str]) -> int:
    say(f"Running pytest {' '.join(arguments)}")
    # Another stack's `env`, exported by the caller's shell, must not send the tests there.
    ours = envfile.read(places.env_file)
    environment = {name: value for name, value in environ.items() if name not in ours} | {"RUN_DIR": str(places.run)}
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=places.root, env=environment, check=False).returncode


def _all(*outcomes: int) -> int:
    """The first failure; success if there is none, unless nothing was run at all."""
    run = [outcome for outcome in outcomes if outcome != NOTHING_SELECTED]
    return next((outcome for outcome in run if outcome), 0) if run else NOTHING_SELECTED
