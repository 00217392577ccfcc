"""The metrics pages of the running stack's services, read as Prometheus would."""

from collections.abc import Mapping

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.plain_http import NOBODY
from tests.support.run_env import needed

PROCESSES = ("gateway", "auth", "executor-rest", "executor-upload", "executor-replace", "notifier")

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Name and labels, and the figure."""


async def page_of(process: str) -> str:
    """The page of one of PROCESSES."""
    port = needed(f"{process.upper().replace('-', '_')}_METRICS_PORT")
    async with httpx2.AsyncClient(verify=NOBODY, trust_env=False, timeout=10) as http:
        reply = (await http.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status()
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return reply.text


def series_of(page: str) -> Series:
    """Every series of a page."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def figure(series: Series, name: str, **labels: str) -> float:
    """One figure; 0 if it isn't shown."""
    return series.get((name, frozenset(labels.items())), 0.0)
