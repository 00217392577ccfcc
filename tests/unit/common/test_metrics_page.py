"""The page /metrics: bounded whoever asks, and never kept waiting by whoever is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field

import httpx2
import pytest

from flickrhub_common import metrics_page
from flickrhub_common.listening import bound
from flickrhub_common.metrics import Metrics, Sample, gauge
from flickrhub_common.metrics_page import GOOD_SECONDS, PAGE_SECONDS, MetricsPage
from flickrhub_common.side_port import SidePort
from tests.support.metrics_pages import figure, series_of
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

SHOWN = gauge("test_shown", "Now.")
SILENT = gauge("test_silent", "Never.")


@dataclass
class Page:
    """A page by a clock of the test's; what is asked for counts how often it was."""

    metrics: Metrics = field(default_factory=lambda: Metrics([SHOWN, SILENT]))
    time: float = 0.0
    taken: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.page = MetricsPage(self.metrics, now=lambda: self.time)
        self.metrics.samples.append(Sample((self.metrics.gauge(SHOWN),), self.take))

    async def take(self) -> None:
        self.taken += 1
        self.metrics.gauge(SHOWN).set(self.taken)

    async def hang(self) -> None:
        await self.gate.wait()

    async def figure(self, name: str = "test_shown") -> float:
        return figure(series_of((await self.page.page()).decode()), name)


async def test_figures_are_taken_when_somebody_looks_and_good_for_a_while() -> None:
    page = Page()
    assert await page.figure() == 1
    page.time = GOOD_SECONDS - 0.1
    assert await page.figure() == 1
    page.time = GOOD_SECONDS + PAGE_SECONDS
    assert await page.figure() == 2


async def test_many_who_look_together_are_shown_one_page_of_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    page, rendered = Page(), 0
    render = page.metrics.render

    def counted() -> bytes:
        nonlocal rendered
        rendered += 1
        return render()

    monkeypatch.setattr(page.metrics, "render", counted)
    await asyncio.gather(*(page.page.page() for _ in range(500)))
    assert (page.taken, rendered) == (1, 1)
    page.time = PAGE_SECONDS
    await page.page.page()
    assert (page.taken, rendered) == (1, 2)


async def test_who_is_asked_and_silent_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(metrics_page, "SAMPLE_SECONDS", 60)
    page = Page()
    page.metrics.samples.append(Sample((page.metrics.gauge(SILENT),), page.hang))
    async with asyncio.timeout(5):
        assert await page.figure() == 1  # the others' figures are there
    page.gate.set()


async def test_who_is_asked_and_silent_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "SAMPLE_SECONDS", 0.05)
    page = Page()
    silent = page.metrics.gauge(SILENT)
    silent.set(1)
    page.metrics.samples.append(Sample((silent,), page.hang))

    async def forgotten() -> bool:
        page.time += PAGE_SECONDS
        return (await page.figure("test_silent")) != 1

    await eventually(forgotten, within=5, every=0.01)


async def test_who_fails_has_no_figure_and_the_others_have(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    silent = page.metrics.gauge(SILENT)
    silent.set(1)

    async def fail() -> None:
        raise ValueError

    page.metrics.samples.insert(0, Sample((silent,), fail))
    assert await page.figure() == 1
    assert await page.figure("test_silent") != 1


@pytest.fixture
async def side() -> AsyncIterator[SidePort]:
    """A page on a port of its own."""
    side = SidePort(Page().page, host="127.0.0.1", port=0, variable="METRICS_PORT")
    await side.open()
    yield side
    side.close()


@pytest.fixture
def port(side: SidePort) -> int:
    return side.port


async def test_the_port_has_the_page_and_nothing_else(port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False) as http:
        assert "test_shown 1.0" in (await http.get("/metrics")).text
        assert [
            (await http.request(method, path)).status_code
            for method, path in (("GET", "/"), ("GET", "/metrics/x"), ("POST", "/metrics"), ("DELETE", "/metrics"))
        ] == [404, 404, 405, 405]
        assert (await http.post("/metrics")).headers["allow"] == "GET, HEAD"
        assert (await http.get("/metrics", headers={"X-Long": "x" * 20_000})).status_code == 431


async def test_the_port_says_that_the_process_lives(port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False) as http:
        reply = await http.get("/health")
        assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_a_crowd_that_says_nothing_is_small_and_keeps_nobody_out(side: SidePort, port: int) -> None:
    crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]

    async def answers() -> bool:
        try:
            async with httpx2.AsyncClient(verify=NOBODY, trust_env=False, timeout=2) as http:
                return (await http.get(f"http://127.0.0.1:{port}/metrics")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    await eventually(answers, within=10)
    await eventually(lambda: side.connections <= 16, within=3)  # long before they are cut off for silence
    for _, writer in crowd:
        writer.close()


async def test_a_port_that_is_taken_ends_the_process_with_a_line_that_names_the_setting(port: int) -> None:
    with pytest.raises(
        SystemExit, match=rf"^METRICS_PORT: port {port} can't be listened on \(Address already in use\)$"
    ):
        SidePort(Page().page, host="127.0.0.1", port=port, variable="METRICS_PORT")


@pytest.mark.parametrize("host", ["300.1.1.1", "a..b", "192.0.2.1", "fe80:::1"])
def test_a_host_that_is_none_of_ours_is_not_the_ports_fault(host: str) -> None:
    with pytest.raises(SystemExit, match=r"^HOST: can't be listened on \(.+\)$"):
        bound(host, 0, variable="PORT")


def test_two_that_begin_at_the_same_time_dont_get_one_port() -> None:
    first = SidePort(Page().page, host="127.0.0.1", port=0, variable="METRICS_PORT")
    with closing(first), pytest.raises(SystemExit, match="Address already in use"):
        SidePort(Page().page, host="127.0.0.1", port=first.port, variable="METRICS_PORT")
