"""The client for addresses that others chose, given names: what DNS may answer, and what is dialled then.

Real sockets on loopback; DNS is the one thing that is replaced.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, RefusedUrl
from flickrhub_common.http_client import HttpError, failure_name, make_guarded_client
from flickrhub_common.lookups import MOST_EACH, site_of
from tests.support.callback_receiver import CallbackReceiver
from tests.support.certificates import self_signed
from tests.support.guarded_calls import FacedCalls
from tests.support.hostile_urls import METADATA_NAMES, NOT_PUBLIC
from tests.support.planted import Planted, planted
from tests.support.stub_dns import StubDns
from tests.support.waiting import eventually

NOBODY_ELSE = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")
PUBLIC = "93.184.216.34"


@pytest.fixture(autouse=True, params=["httpx2", "aiohttp"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test judges the client for photos, over httpx2, and that for callbacks, over aiohttp."""
    if request.param == "aiohttp":
        monkeypatch.setattr(f"{__name__}.make_guarded_client", FacedCalls)
        monkeypatch.setattr(f"{__name__}.failure_name", lambda error: error.reason)
    return str(request.param)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> StubDns:
    """A DNS of this test's own; every name it wasn't told of doesn't exist."""
    dns = StubDns()
    monkeypatch.setattr("socket.getaddrinfo", dns)
    return dns


@pytest.fixture
async def trap() -> AsyncIterator[Planted]:
    """A listener on loopback to which nobody should connect."""
    async with planted() as listener:
        yield listener


async def _post(url: str, policy: AddressPolicy) -> int:
    async with asyncio.timeout(5), make_guarded_client(policy, timeout_seconds=5) as client:
        return (await client.post(url, content=b"{}")).status_code


async def _refused(url: str, policy: AddressPolicy = NOBODY_ELSE) -> None:
    with pytest.raises(RefusedUrl) as refused:
        await _post(url, policy)
    assert str(refused.value) == REFUSED_ADDRESS


async def test_a_name_is_refused_when_any_of_its_addresses_is_not_public(names: StubDns, trap: Planted) -> None:
    async with make_guarded_client(NOBODY_ELSE, timeout_seconds=5) as client:
        for bad in (*NOT_PUBLIC, "fe80::1%lo", "::1%lo"):
            for addresses in ([bad], [PUBLIC, bad], [bad, PUBLIC], [*(f"8.8.4.{n}" for n in range(9)), bad]):
                names["hooks.example"] = addresses
                with pytest.raises(RefusedUrl) as refused:
                    await client.post(f"http://hooks.example:{trap.port}/")
                assert str(refused.value) == REFUSED_ADDRESS, addresses
    assert trap.connections == 0


async def test_no_name_is_an_exception(names: StubDns, trap: Planted) -> None:
    async with make_guarded_client(NOBODY_ELSE, timeout_seconds=5) as client:
        for name, address in METADATA_NAMES.items():
            names[name] = [address]
            with pytest.raises(RefusedUrl):
                await client.get(f"http://{name}:{trap.port}/latest/meta-data/")
    assert names.asked == list(METADATA_NAMES)
    assert trap.connections == 0


async def test_localhost_is_refused_without_asking_anybody(names: StubDns, trap: Planted) -> None:
    names["localhost"] = names["hooks.localhost"] = [PUBLIC]
    for name in ("localhost", "LOCALHOST.", "hooks.localhost"):
        await _refused(f"http://{name}:{trap.port}/")
    assert (names.asked, trap.connections) == ([], 0)


async def test_a_second_answer_gains_nothing_and_the_checked_address_has_the_urls_host_and_tls_name(
    names: StubDns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name leads to a permitted address first, and inside ever after."""
    certificate, tls = self_signed(tmp_path, "hooks.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server_names: list[str | None] = []
    tls.sni_callback = lambda _, name, __: server_names.append(name)
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    names["hooks.example"] = deque([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["::1"]])
    permitted = AddressPolicy.parse("127.0.0.2/32")
    server = await asyncio.start_server(serve, "127.0.0.2", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with server, planted(port=port) as trap, make_guarded_client(permitted, timeout_seconds=5) as client:
        url = f"https://hooks.example:{port}/in?key=1"
        assert (await client.post(url, content=b"{}")).status_code == 200
        assert len(names.asked) == 1
        for _ in range(3):
            with pytest.raises(RefusedUrl):
                await client.post(url, content=b"{}")
        assert trap.connections == 0
    assert server_names == ["hooks.example"]
    assert [head.split(b"\r\n")[0] for head in heads] == [b"POST /in?key=1 HTTP/1.1"]
    assert f"host: hooks.example:{port}\r\n".encode() in heads[0].lower()


async def test_a_certificate_for_another_name_is_refused(
    names: StubDns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, tls = self_signed(tmp_path, "hooks.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names["other.example"] = ["127.0.0.1"]
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("other.example", "127.0.0.1"):
            with pytest.raises(HttpError) as caught:
                await _post(f"https://{host}:{port}/", LOOPBACK)
            assert failure_name(caught.value) == "tls_error"


async def test_the_next_address_is_tried_when_one_refuses(receiver: CallbackReceiver, names: StubDns) -> None:
    names["hooks.example"] = ["::1", "127.0.0.1"]  # the receiver listens on the second only
    assert await _post(f"http://hooks.example:{receiver.port}/", LOOPBACK) == 200
    [request] = receiver.requests
    assert request.headers["host"] == f"hooks.example:{receiver.port}"


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    receiver: CallbackReceiver, trap: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for variable in (name, name.lower()):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{trap.port}")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "hooks.example")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login us password a-password\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert await _post(receiver.url(), LOOPBACK) == 200
    assert "authorization" not in receiver.requests[0].headers
    await _refused(f"http://10.0.0.1:{receiver.port}/")
    await _refused(f"https://10.0.0.1:{receiver.port}/")
    assert trap.connections == 0


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("hooks.example.com", "example.com"),
        ("a.b.hooks.Example.com.", "example.com"),
        ("hooks.shop.co.uk", "shop.co.uk"),
        ("shop.co.uk", "shop.co.uk"),
        ("a.shop.com.au", "shop.com.au"),
        ("co.uk", "co.uk"),
        ("a.b.xyz.com", "xyz.com"),
        ("a.b.example.de", "example.de"),
        ("localhost", "localhost"),
    ],
)
def test_names_of_one_owner_are_one_site(host: str, site: str) -> None:
    assert site_of(host) == site


async def test_one_slow_dns_server_holds_up_nobody_else(
    receiver: CallbackReceiver, names: StubDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked = threading.Event(), []

    def look_up(host: str, port: int, **more: object) -> object:
        if host.endswith("slow.example"):
            asked.append(host)
            answered.wait(20)
        return names(host, port, **more)

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    names["quick.test"] = ["127.0.0.1"]
    async with make_guarded_client(LOOPBACK, timeout_seconds=5, max_connections=200) as client:

        async def post(host: str) -> str:
            try:
                async with asyncio.timeout(0.5):
                    return str((await client.post(f"http://{host}:{receiver.port}/")).status_code)
            except TimeoutError:
                return "timeout"

        try:
            slow = [asyncio.create_task(post(f"{number}.slow.example")) for number in range(100)]
            await eventually(lambda: len(asked) >= MOST_EACH, every=0.005, what="lookups that hang")
            async with asyncio.timeout(5):
                assert (await client.post(f"http://quick.test:{receiver.port}/")).status_code == 200
            assert set(await asyncio.gather(*slow)) == {"timeout"}
            assert len(asked) == MOST_EACH
            assert await post("another.slow.example") == "timeout"
            assert len(asked) == MOST_EACH  # whose places are taken until the resolver ends them
        finally:
            answered.set()
        names["again.slow.example"] = ["127.0.0.1"]
        async with asyncio.timeout(5):
            assert (await client.post(f"http://again.slow.example:{receiver.port}/")).status_code == 200


async def test_a_lookup_that_hangs_keeps_no_process_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: hanging.wait(20))
    async with make_guarded_client(LOOPBACK, timeout_seconds=5) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.get("http://hangs.example/")
    try:
        [thread] = [each for each in threading.enumerate() if each.name == "dns hangs.example"]
        assert thread.daemon
    finally:
        hanging.set()


async def test_what_no_resolver_takes_is_a_name_that_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for failure in (OSError("no"), UnicodeError("no"), ValueError("no")):

        def fail(*_: object, failure: Exception = failure, **__: object) -> None:
            raise failure

        monkeypatch.setattr("socket.getaddrinfo", fail)
        with pytest.raises(HttpError) as caught:
            await _post("http://hooks.example/", NOBODY_ELSE)
        assert failure_name(caught.value) == "dns_error"
