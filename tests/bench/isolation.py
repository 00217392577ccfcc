"""`make bench-isolation`: what a user's callbacks cost others while that user's receiver hangs.

Runs servers of its own and one notifier with its default settings. One user's callbacks are offered at a modest, even
rate, and measured from the publication of the job's completion to the arrival of the callback, in blocks:

    alone · with the other user's queue · alone · with it · alone …

For a block with it, the completions of 10,000 jobs of another user, whose receiver takes every request and never
answers, are put straight into the broker; the block begins when all of them are stored and wait. After it they are
thrown away. `--json` prints all rounds for programs.

Promised, and the exit status says so: the p95 of the blocks with it is less than 1.2 of the p95 of those without, each
taken as the median of its rounds.

    python -m tests.bench.isolation [--queued 10000] [--rate 20] [--seconds 10] [--blocks 2] [--json]
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from yarl import URL

from deploy.local.stack.down import clean
from deploy.local.stack.places import Places
from deploy.local.stack.up import up
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import Callback, JobCompleted
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.topology import DELAY_LEVELS, NOTIFIER_JOB_EVENTS, delay_queue
from tests.support.callback_receiver import CallbackReceiver, callback_receiver
from tests.support.forked import base_environment
from tests.support.listening import listening
from tests.support.own_hub import stop
from tests.support.rabbit_admin import RabbitAdmin, fresh_vhost
from tests.support.run_env import needed
from tests.support.samples import a_completion
from tests.support.waiting import eventually

WANTED = 1.2
ROUNDS_IN_A_BLOCK = 2
FILL_SECONDS = 120
READY_SECONDS = 60
WARM_SECONDS = 2.0
AT_ONCE = 50
REDIS_DB = 13
Mongo = AsyncMongoClient[dict[str, Any]]


@dataclass
class Figures:
    """The p95 of every round, in milliseconds, without the other user's queue and with it."""

    without: list[float] = field(default_factory=list)
    with_it: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How much the median p95 rises."""
        return statistics.median(self.with_it) / statistics.median(self.without)

    def lines(self) -> list[str]:
        """The figures for people."""
        return [
            f"p95 from completion to callback, alone:          {_told(self.without)}",
            f"p95 from completion to callback, with the queue: {_told(self.with_it)}",
            f"ratio {self.ratio:.2f} (promised: less than {WANTED})",
        ]


def _told(rounds: list[float]) -> str:
    each = ", ".join(f"{one:.1f}" for one in rounds)
    return f"{statistics.median(rounds):.1f} ms (rounds: {each})"


class Hanging:
    """A receiver that takes requests and never answers; `most` connections were open at once."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection until the other side ends it."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            while await reader.read(65536):
                pass
        except OSError:
            pass
        finally:
            self.open -= 1
            writer.transport.abort()


class Bench:
    """A notifier, one user that is measured, and another whose receiver hangs."""

    def __init__(self, sender: Messaging, rabbit: RabbitAdmin, mongo: Mongo, *, database: str) -> None:
        self._sender = sender
        self._rabbit = rabbit
        self._deliveries = mongo[database]["deliveries"]
        self._user_id = str(uuid.uuid4())

    async def round(self, receiver: CallbackReceiver, *, rate: float, seconds: float) -> float:
        """Offer callbacks at this rate for so long; the p95 of their times, in milliseconds."""
        path = f"/{uuid.uuid4().hex}"
        event_url, sent = receiver.url(path), {}
        count = round(rate * seconds)
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                event = _completion(event_url, self._user_id)
                sent[event.job_id] = time.monotonic()
                tasks.create_task(self._sender.send_event(event))
        came = await receiver.received(count, path, within=30)
        times = [request.at - sent[request.headers["webhook-id"]] for request in came]
        return 1000 * statistics.quantiles(times, n=20)[-1]

    async def fill(self, url: str, *, count: int) -> None:
        """Have so many callbacks wait for a receiver, all of them stored."""
        user_id, began = str(uuid.uuid4()), time.monotonic()
        for first in range(0, count, AT_ONCE):
            batch = range(first, min(first + AT_ONCE, count))
            await asyncio.gather(*(self._sender.send_event(_completion(url, user_id)) for _ in batch))

        async def all_wait() -> bool:
            return await self._deliveries.count_documents({"user_id": user_id}) == count

        await eventually(all_wait, within=FILL_SECONDS, every=0.5, what="every callback stored")
        sys.stdout.write(f"{count} callbacks wait for the hanging receiver, after {time.monotonic() - began:.0f} s\n")

    async def forget(self) -> None:
        """Have nothing wait any more: what still comes of it finds its delivery finished."""
        await self._deliveries.update_many({"state": "pending"}, {"$set": {"state": "delivered"}})
        for level in range(DELAY_LEVELS):
            await self._rabbit.purge(delay_queue(level))


def _completion(url: str, user_id: str) -> JobCompleted:
    return a_completion().model_copy(update={"user_id": user_id, "callback": Callback(url=url)})


@asynccontextmanager
async def a_bench(places: Places, logs: Path) -> AsyncIterator[Bench]:
    """Servers and a notifier of the bench's own; forgotten afterwards."""
    os.environ["RUN_DIR"] = str(places.run)
    clean(places)
    name = f"bench-{uuid.uuid4().hex[:8]}"
    try:
        await asyncio.to_thread(up, places, dict(os.environ), free_ports=True)
        async with (
            fresh_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL"), name) as rabbit,
            Mongo(needed("MONGO_URL")) as mongo,
        ):
            rabbit_url = str(URL(needed("RABBIT_URL")).with_path(rabbit.vhost))
            sender = Messaging(RabbitSettings(rabbit_url=SecretStr(rabbit_url)), service="bench")
            await sender.start()
            notifier = await _notifier(rabbit_url, logs, database=name)
            try:
                await eventually(
                    partial(rabbit.consumers, NOTIFIER_JOB_EVENTS), within=READY_SECONDS, what="a notifier that reads"
                )
                yield Bench(sender, rabbit, mongo, database=name)
            finally:
                await stop(notifier)
                await sender.stop()
    finally:
        clean(places)


async def _notifier(rabbit_url: str, logs: Path, *, database: str) -> asyncio.subprocess.Process:
    environment = {
        **base_environment(),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "METRICS_PORT": "0",
        "RABBIT_URL": rabbit_url,
        "MONGO_URL": needed("MONGO_URL"),
        "MONGO_DB": database,
        "REDIS_URL": str(URL(needed("REDIS_URL")).with_path(f"/{REDIS_DB}")),
        "ENCRYPTION_KEYS": needed("ENCRYPTION_KEYS"),
        "CALLBACK_ALLOW_CIDRS": "127.0.0.0/8",
        "LOG_LEVEL": "WARNING",
        "CALLBACK_RETRY_ATTEMPTS": "3",
    }
    with (logs / "notifier.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "flickrhub_notifier"), env=environment, cwd=logs, stdout=log, stderr=log
        )


async def measured(bench: Bench, asked: argparse.Namespace) -> Figures:
    """All blocks, in turn."""
    figures, hanging = Figures(), Hanging()
    async with callback_receiver() as receiver, listening(hanging.serve) as port:

        async def block(into: list[float]) -> None:
            await bench.round(receiver, rate=asked.rate, seconds=WARM_SECONDS)
            rounds = range(ROUNDS_IN_A_BLOCK)
            into += [await bench.round(receiver, rate=asked.rate, seconds=asked.seconds) for _ in rounds]

        await block(figures.without)
        for _ in range(asked.blocks):
            await bench.fill(f"http://127.0.0.1:{port}/in", count=asked.queued)
            await block(figures.with_it)
            await bench.forget()
            await eventually(lambda: hanging.open == 0, within=30, what="the end of the last hanging attempts")
            await block(figures.without)
    sys.stdout.write(f"connections to the hanging receiver at once, at the most: {hanging.most}\n")
    return figures


async def main(arguments: list[str]) -> int:
    """Measure and print; exit status 1 when the promise isn't kept."""
    parser = argparse.ArgumentParser(prog="make bench-isolation")
    parser.add_argument("--queued", type=int, default=10_000, help="callbacks that wait for the hanging receiver")
    parser.add_argument("--rate", type=float, default=20.0, help="callbacks a second of the user that is measured")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a round is")
    parser.add_argument("--blocks", type=int, default=2, help="how often the queue is filled")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        async with a_bench(Places.from_environment({"RUN_DIR": ".run-bench"}), Path(folder)) as bench:
            figures = await measured(bench, asked)
    sys.stdout.writelines(f"{line}\n" for line in figures.lines())
    if asked.json:
        sys.stdout.write(json.dumps({"without_ms": figures.without, "with_ms": figures.with_it}) + "\n")
    return 0 if figures.ratio < WANTED else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
