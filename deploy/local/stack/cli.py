"""The commands of the local stack."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from deploy.local.stack import identity
from deploy.local.stack.backup import backup, restore
from deploy.local.stack.down import clean, down
from deploy.local.stack.errors import CannotStart, NotReady
from deploy.local.stack.places import Places
from deploy.local.stack.programs import log_of
from deploy.local.stack.rotate import rotate_keys
from deploy.local.stack.run_tests import run_tests
from deploy.local.stack.screen import complain, last_lines, say
from deploy.local.stack.status import status
from deploy.local.stack.supervise import Supervisor
from deploy.local.stack.up import up

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    A failure is told in one line, after the end of the culprit's log if there is one.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 gets question marks, not a traceback
            stream.reconfigure(errors="replace")
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command != "test":
        _parser().error(f"unknown argument {rest[0]}")
    places = Places.from_environment(os.environ)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(options, rest, places)
    except NotReady as error:
        _show_log(places, error.process)
        complain(f"Error: {error}")
    except CannotStart as error:
        complain(f"Error: {error}")
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        complain("Interrupted.")
        return INTERRUPTED
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="FlickrHub on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="bring the stack up")
    start.add_argument("--free-ports", action="store_true", help="pick free ports instead of the configured ones")
    commands.add_parser("down", help="stop it, keep its data")
    commands.add_parser("clean", help="stop it and forget it")
    show = commands.add_parser("status", help="every process; exit status 0 ready, 1 not all of it, 3 not running")
    show.add_argument("--quiet", action="store_true", help="exit status only")
    commands.add_parser("logs", help="follow the logs").add_argument("process", nargs="?", default="*")
    rotate = commands.add_parser("rotate-keys", help="a new key for the secrets at rest, while jobs run")
    rotate.add_argument("--wait", type=float, default=3600.0, help="how long to wait for jobs under way, in seconds")
    keep = commands.add_parser("backup", help="MongoDB and the key ring into a new folder, while everything runs")
    keep.add_argument("folder", type=Path)
    back = commands.add_parser("restore", help="a backup put back, while the services are stopped")
    back.add_argument("folder", type=Path)
    back.add_argument("--drop", action="store_true", help="replace what is in the database")
    back.add_argument("--rabbitmq-lost", action="store_true", help="make messages anew for all that is open")
    commands.add_parser("test", help="run pytest (arguments follow) against a stack of its own")
    return parser


def _run(options: argparse.Namespace, rest: list[str], places: Places) -> int:
    if options.command == "status":
        return status(places, quietly=options.quiet)
    if options.command == "test":
        return run_tests(places, os.environ, rest)
    if options.command == "logs":
        _follow_logs(places, options.process)
    commands: dict[str, Callable[[], None]] = {
        "up": lambda: up(places, os.environ, free_ports=options.free_ports),
        "rotate-keys": lambda: rotate_keys(places, wait_seconds=options.wait),
        "backup": lambda: backup(places, options.folder),
        "restore": lambda: restore(places, options.folder, drop=options.drop, rabbitmq_lost=options.rabbitmq_lost),
        "down": lambda: down(places),
        "clean": lambda: clean(places),
    }
    commands[options.command]()
    return 0


def _follow_logs(places: Places, process: str) -> None:
    logs = sorted(str(path) for path in places.logs.glob(f"{process}.log"))
    if not logs:
        raise CannotStart(f"there are no such logs in {places.shown(places.logs)}/")
    follow = ["-F"]
    if not Supervisor(places).answers() and not identity.left_running(places.programs):
        say("FlickrHub isn't running here (make up starts it): this is what it said last.")
        follow = []
    os.execvp("tail", ["tail", "-n", "20", *follow, *logs])  # noqa: S606 - no shell is wanted


def _show_log(places: Places, process: str) -> None:
    log = log_of(places, process)
    lines = last_lines(log)
    if lines:
        complain(f"--- the end of {places.shown(log)}")
        for line in lines:
            complain(line)
        complain("---")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
