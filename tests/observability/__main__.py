"""`make metrics-check`: every query of the dashboard, asked of a Prometheus that scrapes a stack under load.

    python -m tests.observability [--seconds 60] [--within 180]

Brings up a stack of its own and a Prometheus, has jobs of every kind done, an api key used up and a queue consumed by
nobody, and waits until every query of the dashboard has data. Printed are each panel's queries and what they show, and
how the alerts were. The exit status is 1 if a query stays empty, an alert can't be evaluated, or a process can't be
scraped.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from deploy.local.stack.down import clean
from deploy.local.stack.places import Places
from deploy.local.stack.up import up
from tests.observability import queries, report
from tests.observability.load import SETTINGS, UNCONSUMED, greedy, one_round, without_executor
from tests.observability.queries import Query
from tests.observability.server import Prometheus, prometheus
from tests.support.callback_receiver import callback_receiver
from tests.support.flickrhub_client import flickrhub
from tests.support.run_env import needed, run_env
from tests.support.simulator import simulator
from tests.support.stack_processes import stack_processes
from tests.support.waiting import eventually

INTERVAL = "15s"
"""What Grafana's interval is here: there are sixty scrapes a minute."""
SCRAPED_SECONDS = 30


def main(arguments: list[str]) -> int:
    """Run and print; the exit status."""
    parser = argparse.ArgumentParser(prog="make metrics-check")
    parser.add_argument("--seconds", type=float, default=60, help="of load at the least, which the graphs show (60)")
    parser.add_argument("--within", type=float, default=180, help="seconds until every query has data (180)")
    asked = parser.parse_args(arguments)
    with a_stack() as places:
        return asyncio.run(_checked(places, asked))


@contextmanager
def a_stack() -> Iterator[Places]:
    """A stack of its own; forgotten afterwards."""
    places = Places.from_environment({"RUN_DIR": ".run-metrics"})
    os.environ["RUN_DIR"] = str(places.run)
    clean(places)
    try:
        up(places, {**os.environ, **SETTINGS}, free_ports=True)
        yield places
    finally:
        clean(places)


async def _checked(places: Places, asked: argparse.Namespace) -> int:
    async with prometheus(places.run / "prometheus", run_env()) as server:
        # What happens before the first scrape is no increase to Prometheus.
        await _all_scraped(server)
        began = time.time()
        empty = await _under_load(server, asked)
        await _all_scraped(server)
        for query in queries.dashboard():
            await _show(server, query, since=began)
        unhealthy = await _show_alerts(server, since=began)
    for query in empty:
        say(f"✗ no data: {query.where}")
    say(f"{len(queries.dashboard()) - len(empty)} of {len(queries.dashboard())} queries have data")
    return 1 if empty or unhealthy else 0


async def _under_load(server: Prometheus, asked: argparse.Namespace) -> list[Query]:
    """Have jobs done; the queries that never had data meanwhile."""
    began, rounds, empty = time.time(), 0, queries.dashboard()
    async with (
        flickrhub(needed("GATEWAY_URL")) as hub,
        simulator(needed("SIM_URL")) as sim,
        callback_receiver() as receiver,
        stack_processes() as processes,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(greedy(hub, sim))
        tasks.create_task(without_executor(hub, sim, processes, partial(server.now, UNCONSUMED)))
        while time.time() < began + asked.seconds or (empty and time.time() < began + asked.within):
            await one_round(hub, sim, receiver)
            rounds += 1
            # Each must have had data once: what is a share of nothing has none while nothing happens.
            empty = [query for query in empty if not await _has_data(server, query)]
    say(f"{rounds} rounds of jobs in {time.time() - began:.0f} s")
    return empty


async def _all_scraped(server: Prometheus) -> None:
    async def all_up() -> bool:
        return set((await server.targets()).values()) == {"up"}

    await eventually(all_up, within=SCRAPED_SECONDS, every=0.5, what="every process scraped")


async def _has_data(server: Prometheus, query: Query) -> bool:
    return any(series.known for series in await server.now(query.over(INTERVAL)))


async def _show(server: Prometheus, query: Query, *, since: float) -> None:
    end = time.time()
    step = (end - since) / report.COURSE
    series = await server.during(query.over(INTERVAL), start=since, end=end, step=step)
    shown = [each for each in series if each.known]
    say(f"{'✓' if shown else '✗'} {query.where}   {query.expr}")
    for line in report.graph(shown):
        say(line)


async def _show_alerts(server: Prometheus, *, since: float) -> int:
    """How the alerts stood during the run; how many of them can't be evaluated."""
    rules, window = await server.rules(), f"{time.time() - since:.0f}s"
    seen = defaultdict(set)
    for series in await server.now(f"max_over_time(ALERTS[{window}])"):
        seen[series.labels["alertname"]].add(series.labels["alertstate"])
    say(f"Alerts, {len(rules)} of them, and how they were meanwhile:")
    for rule in rules:
        states = " and ".join(sorted(seen[rule["name"]], reverse=True)) or "inactive"
        say(f"    {rule['name']:<28} {states:<20} evaluation {rule['health']} {rule.get('lastError', '')}".rstrip())
    return sum(rule["health"] != "ok" for rule in rules)


def say(line: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
