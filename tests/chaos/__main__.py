"""`make chaos`: run it, print the table, end with 1 if anything was lost, doubled or contradicted.

    python -m tests.chaos [--jobs 2000] [--faults 15] [--seed N] [--no-stops] [--spread 8]

The seed decides jobs, faults, their order and the gaps; what the processes make of it is theirs.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import Sequence

import uvloop

from deploy.local.stack.places import Places
from tests.chaos.evidence import at_rest, gather
from tests.chaos.faults import Faults
from tests.chaos.ledger import Ledger, judge
from tests.chaos.load import PATIENCE_SECONDS, Client, User
from tests.chaos.plan import USERS, Fault, Work, plan_faults, plan_work
from tests.chaos.receiver import Receiver
from tests.chaos.report import table, write_json
from tests.chaos.rounds import Round
from tests.chaos.stack import Stack, chaos_stack, photos_of
from tests.support.callback_receiver import callback_receiver
from tests.support.hub_account import connector
from tests.support.waiting import eventually

RUN_DIR = ".run-chaos"
PEOPLE = (0, 2, 3, 4, 6, 8, 9, 11)
PROBE_PERSON = 13
BURST_PER_SECOND = 30.0
REST_SECONDS = 240.0


class Chaos:
    """One run: a round for each fault, each with its share of the jobs."""

    def __init__(self, client: Client, faults: Faults, *, spread: float, each: int) -> None:
        self._client = client
        self._faults = faults
        self._spread = spread
        self._each = each
        self.rounds: list[Round] = []

    async def round(self, fault: Fault, works: Sequence[Work]) -> None:
        """A burst of jobs, into which the fault falls, and the others while it lasts."""
        half = (len(works) + 1) // 2
        wanted = len(self._client.accepted) + fault.part * half
        async with asyncio.TaskGroup() as group:
            group.create_task(self._load(works, half, fault))
            await eventually(
                lambda: len(self._client.accepted) >= wanted, within=PATIENCE_SECONDS, every=0.01, what="the burst"
            )
            dealt = await self._faults.strike(fault)
            try:
                await self._faults.recovered()
            except AssertionError as error:
                self._client.troubles.append(f"no recovery from fault {fault.number}, {fault}: {error}")
            done = Round(fault, dealt, time.monotonic(), self._each)
            self.rounds.append(done)
        sys.stdout.write(f"{fault.number:>3} {fault}: recovered in {done.seconds:.1f} s\n")
        sys.stdout.flush()
        await asyncio.sleep(fault.gap)

    async def _load(self, works: Sequence[Work], half: int, fault: Fault) -> None:
        number = fault.number - 1
        await self._client.send(works[:half], per_second=BURST_PER_SECOND, round_number=number)
        rest = works[half:]
        await self._client.send(rest, per_second=max(1.0, len(rest) / self._spread), round_number=number)


def shares(works: Sequence[Work], count: int) -> list[Sequence[Work]]:
    """The jobs of each round, nearly the same number in all."""
    return [works[len(works) * number // count : len(works) * (number + 1) // count] for number in range(count)]


async def run(stack: Stack, options: argparse.Namespace) -> tuple[Ledger, Client]:
    """Everything on a stack that is up."""
    connect = connector(stack.hub, stack.sim)
    async with contextlib.AsyncExitStack() as held:
        endpoints = [await held.enter_async_context(callback_receiver()) for _ in range(USERS + 1)]
        probe = await connect(person=PROBE_PERSON)
        users = []
        for person in PEOPLE:
            account = await connect(person=person)
            photos = await photos_of(stack.sim, account.name)
            users.append(User(account, tuple(photo["id"] for photo in photos)))
        receiver = Receiver(endpoints[:USERS])
        client = Client(stack, users, receiver)
        chaos = Chaos(client, Faults(stack, probe, endpoints[USERS]), spread=options.spread, each=stack.each)
        faults = plan_faults(options.seed, options.faults, stops=not options.no_stops)
        works = plan_work(options.seed, options.jobs)
        for fault, share in zip(faults, shares(works, len(faults)), strict=True):
            await chaos.round(fault, share)
        seconds = await at_rest(stack, client, receiver, within=REST_SECONDS)
        sys.stdout.write(f"at rest {seconds:.1f} s after the last round; what the client was answered: ")
        sys.stdout.write(", ".join(f"{count} x {name}" for name, count in sorted(client.replies.items())) + "\n\n")
        return judge(await gather(stack, client, receiver, users), chaos.rounds), client


async def main(arguments: list[str]) -> int:
    """Run, print, keep; the exit status."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--jobs", type=int, default=2000, help="how many jobs in all")
    parser.add_argument("--faults", type=int, default=15, help="how many faults, one after the other")
    parser.add_argument("--seed", type=int, help="repeats a run's decisions; without it one is drawn")
    parser.add_argument(
        "--no-stops",
        action="store_true",
        help="without processes that fall silent, which take longest, and without second ones",
    )
    parser.add_argument(
        "--spread", type=float, default=8.0, help="seconds over which the second half of a round's jobs comes"
    )
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = random.randrange(1_000_000)  # noqa: S311 - protects nothing
    command = f'make chaos ARGS="--jobs {options.jobs} --faults {options.faults} --seed {options.seed}"'
    sys.stdout.write(f"seed {options.seed}: {command}\n")
    began = time.monotonic()
    places = Places.from_environment({"RUN_DIR": os.environ.get("CHAOS_RUN_DIR") or RUN_DIR})
    async with chaos_stack(places, standbys=not options.no_stops) as stack:
        ledger, client = await run(stack, options)
    seconds = time.monotonic() - began
    write_json(places.run / "chaos.json", ledger, seed=options.seed, seconds=seconds, replies=client.replies)
    sys.stdout.write(
        f"{table(ledger)}\nseed {options.seed}, {seconds:.0f} s in all; {places.shown(places.run)}/chaos.json\n"
    )
    return 0 if ledger.balances else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
