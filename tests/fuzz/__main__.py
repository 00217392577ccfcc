"""`make fuzz`: schemathesis and Hypothesis against the real stack.

    python -m tests.fuzz [--cases 3000] [--seed N] [--running]

schemathesis makes requests of the gateway's OpenAPI document, valid and invalid ones, single ones and walks along the
document's links, and checks each reply against it. Printed are the cases of each operation and their statuses, what was
refused by a rule the document can't express, and what became of the jobs. The exit status says whether all was well.
With `--running` the stack that RUN_DIR names is used and left as it is, and Hypothesis isn't run.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from schemathesis.cli import schemathesis

from deploy.local.stack.down import clean
from deploy.local.stack.places import Places
from deploy.local.stack.up import up
from tests.fuzz import hooks, unsaid
from tests.fuzz.surroundings import Surroundings, loopback_server
from tests.support.flickrhub_client import flickrhub
from tests.support.run_env import needed
from tests.support.simulator import PEOPLE, simulator

# No limit is on: a limit reached is an answer that says nothing.
SETTINGS = {
    "FLICKR_RATE_LIMIT_PER_SECOND": "0",
    "FLICKR_RATE_LIMIT_PER_HOUR": "0",
    "RATE_LIMIT_USER_PER_MINUTE": "0",
    "RATE_LIMIT_ADDRESS_PER_MINUTE": "0",
    "LOG_LEVEL": "WARNING",
}
ACCOUNTS = 3
MOST_SECONDS = 15 * 60
JOBS_END_WITHIN_SECONDS = 180
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PROPERTIES = ("tests/unit",)


def main(arguments: list[str]) -> int:
    """Fuzz and print; the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--cases", type=int, default=3000, help="at least so many requests (3000)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of an earlier run, to repeat it")  # noqa: S311 - no secret
    parser.add_argument("--running", action="store_true", help="use the stack of RUN_DIR, which runs")
    asked = parser.parse_args(arguments)
    say(f"Seed {asked.seed}; the same cases again: make fuzz ARGS='--cases {asked.cases} --seed {asked.seed}'")
    if asked.running:
        return fuzz_http(asked.cases, asked.seed, ended=False)
    with a_stack():
        outcome = fuzz_http(asked.cases, asked.seed, ended=True)
    return fuzz_code(asked.seed) or outcome


@contextmanager
def a_stack() -> Iterator[None]:
    """A stack of its own; forgotten afterwards."""
    places = Places.from_environment({"RUN_DIR": ".run-fuzz"})
    os.environ["RUN_DIR"] = str(places.run)
    clean(places)
    try:
        up(places, {**os.environ, **SETTINGS}, free_ports=True)
        yield
    finally:
        clean(places)


def fuzz_http(cases: int, seed: int, *, ended: bool) -> int:
    """Run schemathesis until there were so many cases; with `ended`, wait for the end of the accepted jobs."""
    with httpx2.Client(trust_env=False, timeout=15) as sim, loopback_server() as called_url:
        surroundings = asyncio.run(_connected(sim, called_url if ended else None))
        hooks.register(surroundings)
        began, outcome = time.monotonic(), 0
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(MOST_SECONDS)
        while not outcome and hooks.cases.total() < cases:
            each = max(10, (cases - hooks.cases.total()) // 12)
            outcome = _schemathesis(each, seed)
            seed += 1
        signal.alarm(0)
        seconds = time.monotonic() - began
        unended = asyncio.run(_unended(surroundings)) if ended else 0
    _tell(seconds)
    if ended:
        say(f"{len(surroundings.jobs)} jobs were accepted, {unended} of them haven't ended")
    return outcome or int(unended > 0)


async def _connected(sim: httpx2.Client, called_url: str | None) -> Surroundings:
    async with flickrhub(needed("GATEWAY_URL")) as hub, simulator(needed("SIM_URL")) as control:
        app = await control.new_app()
        user_ids = [await hub.connect(app.api_key, app.api_secret, account=name) for name in PEOPLE[:ACCOUNTS]]
    return Surroundings(sim, app.api_key, app.api_secret, user_ids, called_url)


def _schemathesis(examples: int, seed: int) -> int:
    """One run of all its phases; its exit status. It is interrupted, as by Ctrl+C, when the alarm goes off."""
    options = ("--checks", "all", "--max-examples", str(examples), "--seed", str(seed), "--no-color")
    try:
        schemathesis.main(
            ["--config-file", str(CONFIGURATION), "run", f"{needed('GATEWAY_URL')}/openapi.json", *options],
            prog_name="schemathesis",
        )
    except SystemExit as ended:
        return int(ended.code or 0)


async def _unended(surroundings: Surroundings) -> int:
    """How many of the jobs haven't ended when there was time enough."""
    waiting, until = dict(surroundings.jobs), time.monotonic() + JOBS_END_WITHIN_SECONDS
    async with flickrhub(needed("GATEWAY_URL")) as hub:
        while waiting and time.monotonic() < until:
            for job_id, user_id in list(waiting.items()):
                status = (await hub.status(job_id, user_id)).json()["data"]
                if status["state"] not in {"completed", "failed"}:
                    await asyncio.sleep(1)
                    break
                del waiting[job_id]
    return len(waiting)


def fuzz_code(seed: int) -> int:
    """The unit tests' properties with many more examples each; pytest's exit status."""
    say("\nHypothesis: every property of the unit tests, 20 times as many examples")
    command = [sys.executable, "-m", "pytest", *PROPERTIES, "-m", "hypothesis", "-q", "--numprocesses", "2"]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "record"}
    try:
        return subprocess.run(
            [*command, f"--hypothesis-seed={seed}"], env=environment, check=False, timeout=MOST_SECONDS
        ).returncode
    except subprocess.TimeoutExpired:
        say(f"Not done after {MOST_SECONDS} s.")
        return 1


def _tell(seconds: float) -> None:
    say(f"\n{hooks.cases.total()} cases in {seconds:.0f} s")
    for label in sorted({label for label, _ in hooks.cases}, key=lambda label: label.split()[::-1]):
        statuses = sorted((status, count) for (of, status), count in hooks.cases.items() if of == label)
        made = sorted((kind, count) for (of, kind), count in hooks.kinds.items() if of == label)
        say(
            f"  {label:36} {sum(count for _, count in statuses):6}  "
            f"({', '.join(f'{count} {kind}' for kind, count in made)}; "
            f"{', '.join(f'{status}: {count}' for status, count in statuses)})"
        )
    for rule, count in unsaid.refused.most_common():
        say(f"  refused though it fits the document, by a rule it can't express: {rule}: {count}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
