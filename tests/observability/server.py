"""A Prometheus that scrapes a running local stack, and its answers."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from deploy.local.stack.plan import METRICS_PORT_OF
from tests.observability.programs import program
from tests.observability.queries import ALERTS, OBSERVABILITY
from tests.support.own_hub import free_ports
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

SCRAPE_SECONDS = 1
READY_SECONDS = 30
STOP_SECONDS = 15


@dataclass(frozen=True)
class Series:
    """One line of a graph: its labels, and a figure for each of its times, NaN where there is none."""

    labels: dict[str, str]
    figures: tuple[float, ...]

    @property
    def known(self) -> list[float]:
        """The figures there are."""
        return [figure for figure in self.figures if not math.isnan(figure)]


class Prometheus:
    """What a Prometheus is asked."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def now(self, query: str) -> list[Series]:
        """What a query answers at this moment."""
        found = await self._data("query", query=query)
        return [Series(each["metric"], (float(each["value"][1]),)) for each in found["result"]]

    async def during(self, query: str, *, start: float, end: float, step: float) -> list[Series]:
        """What a graph of a query shows."""
        found = await self._data("query_range", query=query, start=str(start), end=str(end), step=str(step))
        points = round((end - start) / step) + 1
        return [
            Series(each["metric"], on_grid(each["values"], start=start, step=step, points=points))
            for each in found["result"]
        ]

    async def rules(self) -> list[dict[str, Any]]:
        """The alert rules, with their health and state."""
        return [rule for group in (await self._data("rules"))["groups"] for rule in group["rules"]]

    async def targets(self) -> dict[str, str]:
        """The services that are scraped, and how it goes."""
        found = await self._data("targets")
        return {each["labels"]["service"]: each["health"] for each in found["activeTargets"]}

    async def ready(self) -> bool:
        """Whether it answers."""
        try:
            return (await self._http.get("/-/ready")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    async def _data(self, path: str, **params: str) -> dict[str, Any]:
        reply = await self._http.get(f"/api/v1/{path}", params=params)
        body: dict[str, Any] = reply.json()
        assert body["status"] == "success", f"{params.get('query', path)}: {body.get('error')}"
        data: dict[str, Any] = body["data"]
        return data


def on_grid(values: list[list[Any]], *, start: float, step: float, points: int) -> tuple[float, ...]:
    """A figure for each point of a graph; Prometheus leaves out those at which there is nothing."""
    figures = {round((at - start) / step): float(value) for at, value in values}
    return tuple(figures.get(point, math.nan) for point in range(points))


def configuration(env: Mapping[str, str]) -> dict[str, Any]:
    """The configuration that compose's Prometheus has, for the processes of the local stack."""
    compose = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = [each["job_name"] for each in compose["scrape_configs"] if each["job_name"] == "flickrhub"]
    targets = [
        {"targets": [f"127.0.0.1:{env[port]}"], "labels": {"service": service}}
        for service, port in METRICS_PORT_OF.items()
    ]
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": job, "static_configs": targets}],
    }


def _prepare(folder: Path, env: Mapping[str, str]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(env)), encoding="utf-8")


@contextlib.asynccontextmanager
async def prometheus(folder: Path, env: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """A Prometheus on a free port, its data and log in ``folder``; it is ended with the block."""
    path = program("prometheus")
    assert path is not None, "prometheus isn't here: deploy/local/bootstrap.sh prometheus"
    _prepare(folder, env)
    (port,) = free_ports(1)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            path,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False) as http:
            asked = Prometheus(http)
            await eventually(asked.ready, within=READY_SECONDS, what="a Prometheus that answers")
            yield asked
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
