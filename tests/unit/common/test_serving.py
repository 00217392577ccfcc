"""A service as a process: it starts, stops on a signal within its time, and exits with 0."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator

import httpx2
import pytest

from flickrhub_common.allocation import COLLECT_AFTER
from tests.support.plain_http import NOBODY
from tests.support.run_env import ROOT
from tests.support.waiting import eventually

PROGRAM = """
import asyncio, contextlib, gc, socket, sys, time
from fastapi import Request
from flickrhub_common.health import health_router
from flickrhub_common.metrics import Metrics
from flickrhub_common.problems import envelope
from flickrhub_common.server import make_app, serve
from flickrhub_common.settings import Settings

hangs = sys.argv[4]
probes_only = hangs == "draining"

@contextlib.asynccontextmanager
async def lifespan(app):
    print("opened", flush=True)
    await asyncio.sleep(float(sys.argv[3]))
    yield
    if hangs == "closing":
        await asyncio.sleep(600)
    if hangs == "draining":
        print("draining", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print("closed", flush=True)
    if hangs == "thread":
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)

app = make_app(title="t", description="t", lifespan=lifespan)
app.include_router(health_router(lambda _: {}))

@app.post("/echo")
async def echo(request: Request):
    return envelope(request, {"bytes": len(await request.body()), "client": request.client.host})

@app.get("/garbage")
async def garbage(request: Request):
    return envelope(request, {"frozen": gc.get_freeze_count(), "thresholds": gc.get_threshold()})

@app.get("/slow")
async def slow(request: Request):
    print("begun", flush=True)
    await asyncio.sleep(float(request.query_params["seconds"]))
    return envelope(request, {"done": True})

class MostlyHttp(Settings):
    HTTP_SHARE = 0.9

port, metrics_port = map(int, sys.argv[1].split(","))
settings = MostlyHttp(
    host="127.0.0.1", port=port, metrics_port=metrics_port, shutdown_grace_seconds=float(sys.argv[2])
)
serve(app, settings, metrics=Metrics([]), probes_only=probes_only)
print("returned", flush=True)
"""


class Served:
    """The running process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, metrics_port: int) -> None:
        self.process = process
        self.port = port
        self.metrics_port = metrics_port
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15, verify=NOBODY, trust_env=False)

    async def says(self, line: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(15):
            assert (await self.process.stdout.readline()).decode().strip() == line

    async def answers(self) -> bool:
        try:
            return (await self.http.get("/health")).status_code == 200
        except httpx2.TransportError:
            return False

    async def shows_metrics(self) -> bool:
        try:
            reply = await self.http.get(f"http://127.0.0.1:{self.metrics_port}/metrics")
        except httpx2.TransportError:
            return False
        return "process_resident_memory_bytes" in reply.text

    async def errors(self) -> bytes:
        assert self.process.stderr is not None
        return await self.process.stderr.read()

    async def exit_code(self, *, within: float) -> int:
        return await asyncio.wait_for(self.process.wait(), within)


@contextlib.asynccontextmanager
async def served(*, grace: float = 5.0, opens_within: float = 0.0, hangs: str = "") -> AsyncIterator[Served]:
    async with (
        await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as found,
        await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as other,
    ):
        port, metrics_port = (one.sockets[0].getsockname()[1] for one in (found, other))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, f"{port},{metrics_port}", str(grace), str(opens_within), hangs),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    service = Served(process, port, metrics_port)
    try:
        await service.says("opened")
        if not opens_within:
            await eventually(service.answers, within=15, what="an answer")
        yield service
    finally:
        await service.http.aclose()
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_with_exit_code_0(number: signal.Signals) -> None:
    async with served() as service:
        service.process.send_signal(number)
        await service.says("closed")
        await service.says("returned")
        assert await service.exit_code(within=20) == 0


async def test_metrics_are_shown_before_it_opens_and_while_it_closes() -> None:
    async with served(opens_within=1.0, hangs="closing") as service:
        await eventually(service.shows_metrics, within=15, every=0.05, what="metrics")
        assert not await service.answers()
        await eventually(service.answers, within=15, every=0.05, what="an answer")
        service.process.send_signal(signal.SIGTERM)

        async def closes() -> bool:
            return not await service.answers()

        await eventually(closes, within=15, every=0.05, what="the end of its own port")
        assert await service.shows_metrics()


async def test_a_port_that_is_taken_is_told_in_a_line_before_anything_is_opened() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, f"{port},0", "5", "0", ""),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await asyncio.wait_for(process.communicate(), 20)
    assert (said, process.returncode) == (b"", 1)
    assert complained.decode() == f"PORT: port {port} can't be listened on (Address already in use)\n"


async def test_nobody_is_believed_to_be_someone_elses_proxy_also_not_from_this_machine() -> None:
    async with served() as service:
        reply = await service.http.post("/echo", headers={"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "https"})
        assert reply.json()["data"]["client"] == "127.0.0.1"


async def test_a_request_that_runs_is_answered_before_the_end() -> None:
    async with served() as service:
        asking = asyncio.create_task(service.http.get("/slow", params={"seconds": 1}))
        await service.says("begun")
        service.process.send_signal(signal.SIGTERM)
        assert (await asking).json()["data"] == {"done": True}
        await service.says("closed")
        await service.says("returned")
        assert await service.exit_code(within=20) == 0


async def test_a_request_that_takes_too_long_is_given_up_after_the_grace_time() -> None:
    async with served(grace=1) as service:
        asking = asyncio.create_task(service.http.get("/slow", params={"seconds": 60}))
        await service.says("begun")
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit_code(within=20) == 0
        reply = await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(reply[0], httpx2.TransportError) or reply[0].status_code >= 500  # type: ignore[union-attr]


@pytest.mark.parametrize("hangs", ["closing", "thread"])
async def test_whatever_hangs_at_the_end_is_cut_off_within_the_grace_time(hangs: str) -> None:
    async with served(grace=4, hangs=hangs) as service:
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit_code(within=10) == 0
        assert service.process.stdout is not None
        assert b"stop_cut_off" in await service.process.stdout.read()


@pytest.mark.parametrize("grace", [0.5])
async def test_a_grace_time_of_less_than_a_second_is_one_too(grace: float) -> None:
    async with served(grace=grace) as service:
        asking = asyncio.create_task(service.http.get("/slow", params={"seconds": 0.3}))
        await service.says("begun")
        service.process.send_signal(signal.SIGTERM)
        assert (await asking).status_code == 200
        assert await service.exit_code(within=20) == 0


async def test_clients_that_are_in_the_middle_of_something_dont_hold_up_the_end() -> None:
    async with served(grace=20) as service:
        connections = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(4)]
        for (_, writer), half in zip(
            connections,
            (
                b"",
                b"POST /slow HTTP/1.1\r\nX: ",
                b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1",
                b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1",
            ),
            strict=True,
        ):
            writer.write(half)
            await writer.drain()
        assert (await service.http.get("/health")).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit_code(within=10) == 0
        replies = [await reader.read() for reader, _ in connections]
        for _, writer in connections:
            writer.close()
        assert [reply[:13] for reply in replies] == [b"", *[b"HTTP/1.1 503 "] * 3]
        assert b"Traceback" not in await service.errors()


async def test_what_is_given_up_at_the_end_has_its_503_and_leaves_no_traceback() -> None:
    async with served(grace=1) as service:
        asking = asyncio.create_task(service.http.get("/slow", params={"seconds": 60}))
        await service.says("begun")
        service.process.send_signal(signal.SIGTERM)
        reply = await asking
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE")
        assert await service.exit_code(within=20) == 0
        assert b"Traceback" not in await service.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_impatient_operator_may_signal_twice_and_all_is_closed_all_the_same(number: signal.Signals) -> None:
    async with served() as service:
        for _ in range(2):
            service.process.send_signal(number)
            await asyncio.sleep(0.01)  # two pending signals of one number are one
        await service.says("closed")
        await service.says("returned")
        assert await service.exit_code(within=20) == 0


async def test_a_signal_while_it_opens_ends_it_as_soon_as_it_is_open() -> None:
    async with served(opens_within=0.5) as service:
        service.process.send_signal(signal.SIGTERM)
        await service.says("closed")
        await service.says("returned")
        assert await service.exit_code(within=20) == 0


async def test_a_client_that_comes_just_then_is_answered_and_told_to_connect_elsewhere() -> None:
    async with served() as service:
        service.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        reply = await service.http.get("/health")  # over the connection that the first question left open
        assert (reply.status_code, reply.headers["connection"]) == (200, "close")
        assert await service.exit_code(within=20) == 0


async def test_who_only_has_probes_tells_them_that_it_stops_until_everything_else_is_closed() -> None:
    async with served(hangs="draining") as service:
        assert (await service.http.get("/health/ready")).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        await service.says("draining")
        reply = await service.http.get("/health/ready")
        assert (reply.status_code, reply.json()["error"]["details"]) == (503, ["stopping"])
        assert reply.headers["connection"] == "close"
        assert await service.answers()
        assert service.process.stdin is not None
        service.process.stdin.write(b"drained\n")
        await service.says("closed")
        await service.says("returned")
        assert await service.exit_code(within=20) == 0


async def test_who_serves_clients_isnt_ready_from_the_signal_on() -> None:
    async with served() as service:
        service.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        reply = await service.http.get("/health/ready")
        assert (reply.status_code, reply.json()["error"]["details"]) == (503, ["stopping"])
        assert await service.exit_code(within=20) == 0


async def test_what_is_there_once_it_is_open_is_not_looked_at_for_garbage_again() -> None:
    async with served() as service:
        told = (await service.http.get("/garbage")).json()["data"]
    assert told["frozen"] > 10_000
    assert tuple(told["thresholds"]) == COLLECT_AFTER
