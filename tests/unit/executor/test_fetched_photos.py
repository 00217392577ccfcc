"""Photos on others' servers: real sockets on loopback, and whatever is at their other end."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.http_client import make_guarded_client
from flickrhub_executor.adapters.fetched_photos import MOST_REDIRECTS, MOST_REPLY_BYTES, FetchedPhotos
from flickrhub_executor.errors import CallFailed, PermanentFailure, TransientFailure
from tests.support.photo_server import Behaviour, PhotoServer, photo_server
from tests.support.planted import planted
from tests.support.stub_dns import StubDns
from tests.support.waiting import eventually

LOOPBACK = AddressPolicy.parse("127.0.0.0/8")
PHOTO = os.urandom(100_000)
PATIENT: dict[str, Any] = {"bytes_per_second": 16_384.0}
HASTY: dict[str, Any] = {"answer_seconds": 0.2, "grace_seconds": 0.2, "stall_seconds": 0.3}


@pytest.fixture
async def server() -> AsyncIterator[PhotoServer]:
    async with photo_server() as photos:
        yield photos
        await eventually(lambda: photos.connections == 0, every=0.005, what="the end of every connection")


@asynccontextmanager
async def fetching(policy: AddressPolicy = LOOPBACK, **limits: Any) -> AsyncIterator[FetchedPhotos]:
    async with make_guarded_client(policy, timeout_seconds=5, most_reply_bytes=MOST_REPLY_BYTES) as client:
        yield FetchedPhotos(client, policy=policy, **{**PATIENT, **limits})


async def read(photos: FetchedPhotos, url: str) -> tuple[int, bytes]:
    """The announced size and the bytes."""
    async with photos.open(url) as photo:
        return photo.size, b"".join([chunk async for chunk in photo.chunks])


async def fetched(url: str, **limits: Any) -> tuple[int, bytes]:
    async with fetching(**limits) as photos:
        return await read(photos, url)


async def failure(url: str, policy: AddressPolicy = LOOPBACK, **limits: Any) -> CallFailed:
    async with fetching(policy, **limits) as photos:
        with pytest.raises(CallFailed) as caught:
            await read(photos, url)
    return caught.value


def mocked(respond: Callable[[httpx2.Request], httpx2.Response]) -> FetchedPhotos:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    return FetchedPhotos(client, policy=AddressPolicy(), **PATIENT)


async def test_a_photo_of_known_length_is_streamed_through(server: PhotoServer) -> None:
    assert await fetched(server.whole(PHOTO)) == (len(PHOTO), PHOTO)


async def test_a_server_may_close_connections_that_it_said_it_keeps(server: PhotoServer) -> None:
    """Reused at that moment, one would look like a server that breaks off, and cost an attempt."""
    url = server.whole(PHOTO, {"Connection": "keep-alive"})
    async with fetching() as photos:
        for _ in range(20):
            assert (await read(photos, url))[1] == PHOTO


@pytest.mark.parametrize("size", [1, 65_536, 1_048_576, 3_000_001])
async def test_a_photo_of_unknown_length_arrives_with_its_length(server: PhotoServer, size: int) -> None:
    photo = os.urandom(size)
    assert await fetched(server.chunked(photo)) == (size, photo)


async def test_a_photo_that_ends_with_the_connection_arrives_with_its_length(server: PhotoServer) -> None:
    assert await fetched(server.until_closed(PHOTO)) == (len(PHOTO), PHOTO)


async def test_a_length_beside_chunks_is_not_believed(server: PhotoServer) -> None:
    body = b"4\r\nabcd\r\n0\r\n\r\n"
    url = server.answering(200, {"Content-Length": "3", "Transfer-Encoding": "chunked"}, body)
    assert await fetched(url) == (4, b"abcd")


async def test_of_a_photo_longer_than_announced_only_the_announced_part_comes(server: PhotoServer) -> None:
    assert await fetched(server.lying(PHOTO, says=len(PHOTO) - 10)) == (len(PHOTO) - 10, PHOTO[:-10])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(server: PhotoServer, status: int) -> None:
    url = server.redirecting(server.redirecting(server.whole(PHOTO)), status)
    assert (await fetched(url))[1] == PHOTO


async def test_a_redirect_may_be_relative(server: PhotoServer) -> None:
    there = server.whole(PHOTO).rpartition("/")[2]
    assert (await fetched(server.redirecting(f"../1/{there}")))[1] == PHOTO


async def test_so_many_redirects_are_followed_and_no_more(server: PhotoServer) -> None:
    url = server.whole(PHOTO)
    for _ in range(MOST_REDIRECTS):
        url = server.redirecting(url)
    assert (await fetched(url))[1] == PHOTO
    assert (await failure(server.redirecting(url))).code == "ERR_PHOTO_REDIRECTS"


async def test_a_loop_of_redirects_ends_with_a_sentence_of_its_own(server: PhotoServer) -> None:
    failed = await failure(server.looping())
    assert isinstance(failed, PermanentFailure)
    assert (str(failed), failed.code) == ("The photo's address redirects too often.", "ERR_PHOTO_REDIRECTS")
    assert len(server.asked) == 1 + MOST_REDIRECTS


@pytest.mark.parametrize(
    "to",
    [
        "",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://user:password@127.0.0.1/",
        "http://",
        "gopher://127.0.0.1/",
        "//0/",
        "http://127.0.0.1:0/",
        "http://[/",
        "\\\\127.0.0.1\\share",
        "http://xn--\u00e4/",
    ],
)
async def test_a_redirect_to_a_worse_place_is_refused_for_good(server: PhotoServer, to: str) -> None:
    refused = await failure(server.redirecting(to))
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_ADDRESS")


@pytest.mark.parametrize("to", ["http://example.org/photo.jpg", "HTTP://example.org/", "//user@example.org/"])
async def test_a_redirect_from_https_stays_with_https(to: str) -> None:
    asked: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(302, headers={"Location": to})

    with pytest.raises(PermanentFailure) as caught:
        async with mocked(respond).open("https://example.com/photo.jpg"):
            pass
    assert caught.value.code == "ERR_PHOTO_ADDRESS"
    assert asked == ["https://example.com/photo.jpg"]


async def test_an_address_that_is_not_public_is_refused(server: PhotoServer) -> None:
    url = server.whole(PHOTO)
    assert (await failure(url, AddressPolicy())).code == "ERR_PHOTO_ADDRESS"
    assert (await failure(url.replace("127.0.0.1", "localhost"), AddressPolicy())).code == "ERR_PHOTO_ADDRESS"
    assert not server.asked


async def test_a_redirect_to_a_name_that_leads_elsewhere_is_refused_when_it_is_resolved(
    server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dns = StubDns()
    dns["inside.example"] = ["127.0.0.1", "127.0.0.2"]
    monkeypatch.setattr("socket.getaddrinfo", dns)
    async with planted("127.0.0.2") as trap:
        url = server.redirecting(server.redirecting(f"http://inside.example:{trap.port}/latest/meta-data/"))
        refused = await failure(url, AddressPolicy.parse("127.0.0.1/32"))
        assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_ADDRESS")
        assert (dns.asked, trap.connections) == (["inside.example"], 0)


async def test_a_name_is_judged_when_it_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    address = (2, 1, 6, "", ("127.0.0.1", 80))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [address])
    refused = await failure("http://photos.example/a.jpg", AddressPolicy())
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_ADDRESS")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, PermanentFailure, "ERR_PHOTO_NOT_FOUND"),
        (410, PermanentFailure, "ERR_PHOTO_NOT_FOUND"),
        (401, PermanentFailure, "ERR_PHOTO_REFUSED"),
        (403, PermanentFailure, "ERR_PHOTO_REFUSED"),
        (408, TransientFailure, "ERR_PHOTO_REFUSED"),
        (425, TransientFailure, "ERR_PHOTO_REFUSED"),
        (429, TransientFailure, "ERR_PHOTO_REFUSED"),
        (500, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
        (503, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
        (201, PermanentFailure, "ERR_PHOTO_REFUSED"),
        (204, PermanentFailure, "ERR_PHOTO_REFUSED"),
        (206, PermanentFailure, "ERR_PHOTO_REFUSED"),
        (300, PermanentFailure, "ERR_PHOTO_REFUSED"),
        (304, PermanentFailure, "ERR_PHOTO_REFUSED"),
    ],
)
async def test_every_status_but_200_is_a_failure(
    server: PhotoServer, status: int, kind: type[CallFailed], code: str
) -> None:
    failed = await failure(server.answering(status))
    assert (type(failed), failed.code, failed.doubtful) == (kind, code, False)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip", "x"])
async def test_a_compressed_photo_is_refused_unread(server: PhotoServer, coding: str) -> None:
    refused = await failure(server.whole(PHOTO, {"Content-Encoding": coding}))
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_ENCODED")


async def test_a_bomb_is_refused_unread(server: PhotoServer) -> None:
    assert (await failure(server.bomb())).code == "ERR_PHOTO_ENCODED"


async def test_the_coding_identity_is_none(server: PhotoServer) -> None:
    assert (await fetched(server.whole(PHOTO, {"Content-Encoding": "Identity"})))[1] == PHOTO


@pytest.mark.parametrize("says", [1_073_741_825, 99_999_999_999_999_999_999])
async def test_a_photo_announced_too_large_is_refused_unread(server: PhotoServer, says: int) -> None:
    refused = await failure(server.lying(b"", says=says))
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_TOO_LARGE")


async def test_a_photo_of_unknown_length_is_refused_when_it_gets_too_large(server: PhotoServer) -> None:
    refused = await failure(server.endless(), most_bytes=3_000_000)
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_TOO_LARGE")


async def test_a_photo_in_crumbs_is_refused_before_they_cost_much(server: PhotoServer) -> None:
    refused = await failure(server.chunked(PHOTO[:5000], piece=1))
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_REFUSED")
    assert (await fetched(server.chunked(PHOTO[:1000], piece=1)))[1] == PHOTO[:1000]


@pytest.mark.parametrize("serve", [PhotoServer.whole, PhotoServer.chunked, PhotoServer.until_closed])
async def test_an_empty_photo_is_refused(server: PhotoServer, serve: Callable[[PhotoServer, bytes], str]) -> None:
    refused = await failure(serve(server, b""))
    assert (type(refused), refused.code) == (PermanentFailure, "ERR_PHOTO_EMPTY")


@pytest.mark.parametrize("length", ["-1", "+5", "5 ", "0x10", "1e3", "", "5, 6", "\xb2"])
async def test_a_length_that_is_no_number_is_no_answer(length: str) -> None:
    headers = [(b"content-length", length.encode("latin-1"))]
    photos = mocked(lambda _: httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(b"12345")))
    with pytest.raises(TransientFailure) as caught:
        async with photos.open("https://example.com/photo.jpg"):
            pass
    assert caught.value.code == "ERR_PHOTO_UNREACHABLE"


@pytest.mark.parametrize(
    "serve",
    [
        lambda server: server.hanging_up(PHOTO, after=50_000),
        lambda server: server.lying(PHOTO, says=len(PHOTO) + 1),
        lambda server: server.chunked(PHOTO, whole=False),
        lambda server: server.answering(200, {"Content-Length": "-5"}),
        lambda server: server.behaving(_says(b"")),
        lambda server: server.behaving(_says(b"HTTP/1.1 200 OK\r\nConte")),
        lambda server: server.behaving(_says(b"220 ESMTP\r\n\r\n")),
        lambda server: server.behaving(
            _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff")
        ),
        lambda server: server.endless_headers(),
    ],
)
async def test_a_server_that_breaks_off_or_speaks_nonsense_is_worth_another_try(
    server: PhotoServer, serve: Callable[[PhotoServer], str]
) -> None:
    failed = await failure(serve(server))
    assert (type(failed), failed.code, failed.doubtful) == (TransientFailure, "ERR_PHOTO_UNREACHABLE", False)


async def test_a_server_that_is_not_there_is_worth_another_try(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await failure(f"http://127.0.0.1:{unused_tcp_port}/")).code == "ERR_PHOTO_UNREACHABLE"
    monkeypatch.setattr("socket.getaddrinfo", _no_name)
    assert (await failure("http://photos.example/a.jpg")).code == "ERR_PHOTO_UNREACHABLE"


@pytest.mark.parametrize(
    "serve",
    [
        PhotoServer.silent,
        lambda server: server.trickling(PHOTO, every=0.01),
        lambda server: server.trickling(PHOTO, at_once=90_000, every=0.01),
        lambda server: server.trickling(PHOTO, at_once=90_000, every=60),
        lambda server: server.behaving(_drips(b"HTTP/1.1 200 OK\r\nX-Slow: ")),
    ],
)
async def test_a_server_that_is_too_slow_is_left_soon(server: PhotoServer, serve: Callable[[PhotoServer], str]) -> None:
    url = serve(server)
    async with asyncio.timeout(4):
        failed = await failure(url, **HASTY)
    assert (type(failed), failed.code) == (TransientFailure, "ERR_PHOTO_TIMEOUT")


async def test_a_server_just_fast_enough_is_waited_for(server: PhotoServer) -> None:
    url = server.trickling(PHOTO[:60], every=0.01)
    assert await fetched(url, **{**HASTY, "bytes_per_second": 25}) == (60, PHOTO[:60])


async def test_the_time_in_which_nobody_asks_for_bytes_is_not_the_server_s(server: PhotoServer) -> None:
    async with fetching(**HASTY) as photos, photos.open(server.whole(bytes(1_000_000))) as photo:
        read = 0
        async for chunk in photo.chunks:
            if not read:
                await asyncio.sleep(0.35)
            read += len(chunk)
        assert read == photo.size


async def test_who_stops_reading_leaves_nothing_open(server: PhotoServer) -> None:
    async with fetching() as photos:
        for url in (server.whole(bytes(10_000_000)), server.chunked(bytes(10_000_000))):
            async with photos.open(url) as photo:
                await anext(photo.chunks)
            await eventually(lambda: server.connections == 0, every=0.005, what="the end of the connection")


@pytest.mark.parametrize(
    "serve",
    [
        lambda server: server.answering(403, body=bytes(20_000_000)),
        lambda server: server.redirecting("file:///etc/passwd"),
        lambda server: server.whole(bytes(20_000_000), {"Content-Encoding": "gzip"}),
        lambda server: server.lying(b"", says=10**10),
        lambda server: server.endless(),
    ],
)
async def test_a_photo_that_is_refused_leaves_nothing_open(
    server: PhotoServer, serve: Callable[[PhotoServer], str]
) -> None:
    async with fetching(most_bytes=1_000_000) as photos:
        with pytest.raises(PermanentFailure):
            await read(photos, serve(server))
        await eventually(lambda: server.connections == 0, every=0.005, what="the end of the connection")


async def test_who_is_cancelled_leaves_nothing_open(server: PhotoServer) -> None:
    async with fetching() as photos:
        for url in (server.silent(), server.trickling(PHOTO), server.endless()):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(photos, url), 0.05)
            await eventually(lambda: server.connections == 0, every=0.005, what="the end of the connection")


async def test_a_spooled_photo_has_no_name_on_disk(
    server: PhotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with fetching() as photos, photos.open(server.chunked(bytes(3_000_000))) as photo:
        await anext(photo.chunks)
        assert os.listdir(tmp_path) == []


async def test_a_full_disk_is_worth_another_try(server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115
    failed = await failure(server.chunked(bytes(3_000_000)))
    assert (type(failed), failed.code) == (TransientFailure, "ERR_PHOTO_UNREACHABLE")
    assert (await failure(server.chunked(b"small"))).code == "ERR_PHOTO_UNREACHABLE"


async def test_no_failure_says_where_the_photo_was(server: PhotoServer, unused_tcp_port: int) -> None:
    urls = (
        server.url("/secret?token=hush"),
        f"http://127.0.0.1:{unused_tcp_port}/secret?token=hush",
        "http://user:hush@127.0.0.1/secret",
        server.redirecting("http://10.0.0.1/secret?token=hush"),
        server.redirecting("http://[secret/?token=hush"),
    )
    for url in urls:
        failed = await failure(url)
        told = " ".join([failed.message, failed.outline, repr(failed), *failed.chain()])
        assert not any(word in told for word in ("hush", "secret", "127.0.0.1", "10.0.0.1", str(server.port)))


async def test_cookies_and_trace_are_not_told_to_the_next_one(server: PhotoServer) -> None:
    target = server.whole(PHOTO, {"Set-Cookie": "a=b; Path=/"})
    async with fetching() as photos:
        for _ in range(2):
            async with photos.open(server.redirecting(target)):
                pass
    heads = b"".join(server.heads).lower()
    assert b"accept-encoding: identity" in heads
    assert not any(name in heads for name in (b"\r\ncookie:", b"\r\ntraceparent:", b"\r\nreferer:", b"\r\nrange:"))


async def test_the_span_holds_the_status_and_nothing_of_the_address(server: PhotoServer) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with make_guarded_client(LOOPBACK, timeout_seconds=5) as client:
        photos = FetchedPhotos(client, policy=LOOPBACK, tracer=provider.get_tracer("test"), **PATIENT)
        async with photos.open(server.whole(PHOTO)):
            pass
        with pytest.raises(PermanentFailure):
            async with photos.open(server.redirecting("http://10.0.0.1/hush")):
                pass
    good, bad = spans.get_finished_spans()
    assert dict(good.attributes or {}) == {"http.response.status_code": 200}
    assert (good.status.is_ok, bad.status.is_ok, bad.events) == (True, False, ())
    assert not any(word in span.to_json() for span in (good, bad) for word in ("hush", "127.0.0.1", "10.0.0.1"))


def _says(text: bytes) -> Behaviour:
    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    return serve


def _drips(text: bytes) -> Behaviour:
    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    return serve


def _no_name(*_: object, **__: object) -> list[object]:
    raise OSError("unknown")
