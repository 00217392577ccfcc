"""One upload to Flickr: what goes out on the wire, and what each way of not answering becomes."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import quote, unquote

import httpx2
import pytest

from flickrhub_common.upload_client import make_upload_client
from flickrhub_executor.adapters.flickr_uploads import JOINED_BYTES, LARGEST_BYTES, MAX_REPLY_BYTES, FlickrUploads
from flickrhub_executor.errors import OutcomeUnknown, TransientFailure
from flickrhub_executor.models import Credentials, FlickrReply, Photo, UploadCall

LENT = Credentials("user", "k" * 32, "s" * 16, "72157-token", "t" * 16, "f00d")
URL = "https://up.flickr.com/services/upload/"
AWKWARD = (
    ("title", "日本 😀 é e\u0301 \u200b"),
    ("description", "a b+c&d=e~f%20g/h?i#j!'()*\r\n--x"),
    ("tags", '"two words" one'),
    ("empty", ""),
    ("twice", "2"),
    ("twice", "1"),
    ("spaces", " s "),
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


def photo(*chunks: bytes, size: int | None = None, filename: str = "a b.jpg") -> Photo:
    return Photo(sum(map(len, chunks)) if size is None else size, filename, "image/jpeg", _each(chunks))


async def _each(chunks: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def nothing() -> None:
    """What is done before the end where a test doesn't care."""


class Far:
    """The far end of uploads: what it was sent, and what it does about it."""

    def __init__(self, serve: Serve | None) -> None:
        self.serve = serve or self.take
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take whole requests and answer them, one after the other."""
        while True:
            await self.read_whole(reader)
            writer.write(OK)

    async def read_whole(self, reader: asyncio.StreamReader) -> None:
        """Read one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        assert length is not None
        self.bodies.append(await reader.readexactly(int(length[1])))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.serve(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            self.gone.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self.tasks.add(task)


@contextlib.asynccontextmanager
async def far_end(serve: Serve | None = None) -> AsyncIterator[Far]:
    far = Far(serve)
    server = await asyncio.start_server(far.accept, "127.0.0.1", 0)
    far.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/services/upload/"
    try:
        yield far
    finally:
        server.close()
        for task in far.tasks:
            task.cancel()
        await asyncio.gather(*far.tasks, return_exceptions=True)


async def sent(
    url: str, upload: UploadCall, *, before_end: Callable[[], None] = nothing, timeout_seconds: float = 5.0
) -> FlickrReply:
    async with make_upload_client(timeout_seconds=5) as client:
        uploads = FlickrUploads(client, url=url, timeout_seconds=timeout_seconds)
        return await uploads.send(upload, LENT, before_end=before_end)


async def failure(url: str, upload: UploadCall, **more: Any) -> TransientFailure:
    with pytest.raises(TransientFailure) as caught:
        await sent(url, upload, **more)
    return caught.value


def parts(head: bytes, body: bytes) -> list[tuple[str, bytes]]:
    """The multipart body taken apart by the letter: each part's head as text, and its content."""
    boundary = re.search(rb"(?i)content-type: multipart/form-data; boundary=(\S+)\r\n", head)
    assert boundary is not None
    delimiter = b"\r\n--" + boundary[1]
    preamble, *found, end = (b"\r\n" + body).split(delimiter)
    assert (preamble, end) == (b"", b"--\r\n")
    pairs = [part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for part in found]
    return [(part_head.decode(), content) for part_head, content in pairs]


def signature_of(url: str, pairs: list[tuple[str, str]], secret: str) -> str:
    """HMAC-SHA1 by RFC 5849 section 3.4, spelled out."""
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    text = "&".join(f"{name}={value}" for name, value in encoded)
    base = "&".join(quote(part, safe="~") for part in ("POST", url, text))
    return base64.b64encode(hmac.new(secret.encode(), base.encode(), hashlib.sha1).digest()).decode()


async def test_the_body_is_a_form_with_the_photo_last_and_its_length_is_told() -> None:
    content = os.urandom(700_000)
    async with far_end() as far:
        reply = await sent(far.url, UploadCall(AWKWARD, photo(content)))
    assert (reply.status, reply.body, reply.retry_after) == (200, b"ok", None)
    assert reply.duration_ms >= 0
    *texts, file = parts(far.heads[0], far.bodies[0])
    names = [(f'Content-Disposition: form-data; name="{name}"', value.encode()) for name, value in AWKWARD]
    assert texts == names
    assert file == (
        'Content-Disposition: form-data; name="photo"; filename="a b.jpg"\r\nContent-Type: image/jpeg',
        content,
    )
    head = far.heads[0].lower()
    assert head.startswith(b"post /services/upload/ http/1.1\r\n")
    assert b"transfer-encoding" not in head
    assert head.count(b"content-length") == head.count(b"authorization") == head.count(b"content-type") == 1


async def test_names_and_file_names_can_t_break_out_of_their_quotes() -> None:
    async with far_end() as far:
        await sent(far.url, UploadCall((('a"b\r\nX: y', "v"),), photo(b"x", filename='c"\r\nd.jpg')))
    (name, _), (file, _) = parts(far.heads[0], far.bodies[0])
    assert name.endswith('name="a%22b%0D%0AX: y"')
    assert 'filename="c%22%0D%0Ad.jpg"' in file


@pytest.mark.parametrize("fields", [AWKWARD, ()])
async def test_every_text_field_is_signed_and_the_photo_is_not(fields: tuple[tuple[str, str], ...]) -> None:
    async with far_end() as far:
        await sent(far.url, UploadCall(fields, photo(b"one")))
        await sent(far.url, UploadCall(fields, photo(b"another")))
    signatures = set()
    for head in far.heads:
        authorization = re.search(rb"(?i)authorization: OAuth ([^\r]*)", head)
        assert authorization is not None
        oauth = dict(re.findall(r'(\w+)="([^"]*)"', authorization[1].decode()))
        oauth = {name: unquote(value) for name, value in oauth.items()}
        signature = oauth.pop("oauth_signature")
        assert (oauth["oauth_consumer_key"], oauth["oauth_token"]) == (LENT.api_key, LENT.oauth_token)
        assert "oauth_body_hash" not in oauth
        secret = f"{LENT.api_secret}&{LENT.oauth_token_secret}"
        assert signature == signature_of(far.url, [*fields, *oauth.items()], secret)
        signatures.add((signature, oauth["oauth_nonce"]))
    assert len(signatures) == 2


async def test_the_secrets_themselves_never_go_out() -> None:
    async with far_end() as far:
        await sent(far.url, UploadCall(AWKWARD, photo(b"x")))
    wire = far.heads[0] + far.bodies[0]
    assert LENT.api_secret.encode() not in wire
    assert LENT.oauth_token_secret.encode() not in wire


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b""],
        [b"x"],
        [b"x"] * 300,
        [b"", b"a", b"", b"b"],
        [os.urandom(JOINED_BYTES)] * 3,
        [os.urandom(JOINED_BYTES + 1), b"y"],
        [b"y", os.urandom(LARGEST_BYTES), b"z", b"z"],
        [os.urandom(3 * LARGEST_BYTES + 7)],
    ],
)
async def test_a_photo_arrives_as_it_is_however_it_is_cut(chunks: list[bytes]) -> None:
    async with far_end() as far:
        await sent(far.url, UploadCall((("a", "b"),), photo(*chunks)))
    assert parts(far.heads[0], far.bodies[0])[-1][1] == b"".join(chunks)


async def test_every_upload_has_a_connection_of_its_own() -> None:
    async with far_end() as far, make_upload_client(timeout_seconds=5) as client:
        uploads = FlickrUploads(client, url=far.url, timeout_seconds=5)
        for size in (10, 3_000_000):
            assert (await uploads.send(UploadCall((), photo(bytes(size))), LENT, before_end=nothing)).status == 200
    assert far.connections == 2


async def test_small_chunks_leave_in_few_pieces() -> None:
    pieces: list[int] = []

    async def count(request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        pieces.extend([len(piece) async for piece in request.stream])
        return httpx2.Response(200)

    async with httpx2.AsyncClient(transport=_Raw(count)) as client:
        uploads = FlickrUploads(client, url=URL, timeout_seconds=5)
        await uploads.send(UploadCall((), photo(*[bytes(1000)] * 1000)), LENT, before_end=nothing)
        assert len(pieces) <= 5
        assert max(pieces) <= JOINED_BYTES


async def test_before_the_end_everything_but_the_last_piece_may_be_out() -> None:
    out = 0

    async def read(reader: asyncio.StreamReader, _: object) -> None:
        nonlocal out
        while data := await reader.read(65536):
            out += len(data)

    def refuse() -> None:
        raise OutcomeUnknown("The claim was lost.", code="ERR_LOST")

    upload = UploadCall((), photo(*[bytes(LARGEST_BYTES)] * 3))
    async with far_end(read) as far:
        with pytest.raises(OutcomeUnknown) as caught:
            await sent(far.url, upload, before_end=refuse)
        await asyncio.wait_for(far.gone.wait(), 5)
    assert caught.value.code == "ERR_LOST"
    assert out < 2 * LARGEST_BYTES + 4096


async def test_before_the_end_comes_once_and_before_the_answer() -> None:
    seen: list[int] = []
    async with far_end() as far:
        await sent(far.url, UploadCall((), photo(b"x")), before_end=lambda: seen.append(len(far.bodies)))
    assert seen == [0]


@pytest.mark.parametrize("size", [0, 99, 101, 10_000_000])
async def test_a_photo_of_another_length_than_announced_never_reaches_its_end(size: int) -> None:
    def never() -> None:
        raise AssertionError

    async with far_end() as far:
        failed = await failure(far.url, UploadCall((), photo(bytes(100), size=size)), before_end=never)
        assert (failed.code, failed.doubtful) == ("ERR_PHOTO_UNREACHABLE", False)
        await asyncio.wait_for(far.gone.wait(), 5)
    assert far.bodies == []


async def test_a_photo_without_an_end_is_given_up_at_its_announced_one() -> None:
    given = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield bytes(LARGEST_BYTES)

    async with far_end() as far:
        upload = UploadCall((), Photo(4 * LARGEST_BYTES, "a", "image/png", chunks()))
        failed = await failure(far.url, upload, before_end=pytest.fail)
    assert (failed.code, failed.doubtful, given) == ("ERR_PHOTO_UNREACHABLE", False, 5)


class _Own(Exception):
    """Something the photo's source raises."""


@pytest.mark.parametrize("kind", [_Own, TimeoutError, httpx2.ReadError, httpx2.ConnectError, OSError])
async def test_what_the_chunks_raise_goes_through_as_it_is(kind: type[Exception]) -> None:
    cause, raised = ValueError("why"), kind("own")

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(JOINED_BYTES)
        raise raised from cause

    async with far_end() as far:
        with pytest.raises(kind) as caught:
            await sent(far.url, UploadCall((), Photo(3 * JOINED_BYTES, "a", "image/png", chunks())))
        await asyncio.wait_for(far.gone.wait(), 5)
    assert caught.value is raised
    assert caught.value.__cause__ is cause


async def _answers_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer after the first bytes and hang up with the rest unread: the far side's system answers that by a reset."""
    await reader.read(65536)
    writer.write(REFUSED)


async def _answers_early_and_stays(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    writer.write(REFUSED)
    await asyncio.Event().wait()


@pytest.mark.parametrize("serve", [_answers_early, _answers_early_and_stays])
async def test_an_answer_that_comes_early_is_the_reply(serve: Serve) -> None:
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield bytes(LARGEST_BYTES)

    async with far_end(serve) as far:
        upload = UploadCall((), Photo(64 * LARGEST_BYTES, "a", "image/png", chunks()))
        reply = await sent(far.url, upload, before_end=pytest.fail)
    assert (reply.status, reply.body) == (401, b"no")
    assert taken < 64


async def test_an_interim_answer_is_none() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        await asyncio.sleep(0)
        await far.read_whole(reader)
        writer.write(OK)

    async with far_end(serve) as far:
        reply = await sent(far.url, UploadCall((), photo(*[bytes(LARGEST_BYTES)] * 4)))
    assert reply.status == 200


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    writer.transport.abort()


async def _stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("serve", "seconds", "code"), [(_hangs_up, 5, "ERR_FLICKR_UNREACHABLE"), (_stalls, 0.2, "ERR_FLICKR_TIMEOUT")]
)
async def test_no_answer_before_the_end_leaves_no_doubt(serve: Serve, seconds: float, code: str) -> None:
    async with far_end(serve) as far:
        upload = UploadCall((), photo(*[bytes(LARGEST_BYTES)] * 16))
        failed = await failure(far.url, upload, before_end=pytest.fail, timeout_seconds=seconds)
    assert (failed.code, failed.doubtful) == (code, False)


async def test_flickr_out_of_reach_leaves_no_doubt(unused_tcp_port: int) -> None:
    failed = await failure(f"http://127.0.0.1:{unused_tcp_port}/", UploadCall((), photo(b"x")))
    assert (failed.code, failed.doubtful) == ("ERR_FLICKR_UNREACHABLE", False)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "ERR_FLICKR_UNREACHABLE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "ERR_FLICKR_UNREACHABLE"),
        (b"nonsense\r\n\r\n", "ERR_FLICKR_UNREACHABLE"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_REPLY_BYTES + 1), "ERR_FLICKR_BAD_REPLY"),
        (None, "ERR_FLICKR_TIMEOUT"),
    ],
)
async def test_no_answer_after_the_end_leaves_doubt(answer: bytes | None, code: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await far.read_whole(reader)
        if answer is None:
            await asyncio.Event().wait()
        else:
            writer.write(answer)

    async with far_end(serve) as far:
        failed = await failure(far.url, UploadCall((), photo(b"x")), timeout_seconds=0.5 if answer is None else 5)
    assert (failed.code, failed.doubtful) == (code, True)


async def test_an_answer_that_drips_for_ever_is_cut_off_at_the_time_limit() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await far.read_whole(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with far_end(serve) as far:
        failed = await failure(far.url, UploadCall((), photo(b"x")), timeout_seconds=0.5)
    assert (failed.code, failed.doubtful) == ("ERR_FLICKR_TIMEOUT", True)


async def test_time_that_runs_out_while_the_photo_is_waited_for_is_the_photo_s() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(JOINED_BYTES)
        await asyncio.Event().wait()

    async with far_end() as far:
        upload = UploadCall((), Photo(3 * JOINED_BYTES, "a", "image/png", chunks()))
        failed = await failure(far.url, upload, timeout_seconds=0.5)
    assert (failed.code, failed.doubtful) == ("ERR_PHOTO_TIMEOUT", False)


async def test_who_is_cancelled_leaves_no_connection() -> None:
    async with far_end(_stalls) as far, make_upload_client(timeout_seconds=5) as client:
        uploads = FlickrUploads(client, url=far.url, timeout_seconds=5)
        upload = UploadCall((), photo(*[bytes(LARGEST_BYTES)] * 16))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(uploads.send(upload, LENT, before_end=nothing), 0.1)
        assert client._transport._pool.connections == []  # type: ignore[attr-defined]


async def test_no_failure_shows_a_field_a_secret_or_an_address() -> None:
    async with far_end(_hangs_up) as far:
        failed = await failure(far.url, UploadCall((("title", "hush"),), photo(*[b"hush" * LARGEST_BYTES])))
    told = " ".join([failed.message, failed.outline, repr(failed), *failed.chain()])
    assert not any(word in told for word in ("hush", "127.0.0.1", LENT.api_key, LENT.oauth_token))


async def test_cookies_of_one_user_s_upload_don_t_come_with_the_next() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await far.read_whole(reader)
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n"))

    async with far_end(serve) as far, make_upload_client(timeout_seconds=5) as client:
        uploads = FlickrUploads(client, url=far.url, timeout_seconds=5)
        for _ in range(2):
            await uploads.send(UploadCall((), photo(b"x")), LENT, before_end=nothing)
    assert not any(b"cookie" in head.lower() for head in far.heads)


class _Raw(httpx2.AsyncBaseTransport):
    """A transport that gets the request's body as a stream."""

    def __init__(self, respond: Callable[[httpx2.Request], Coroutine[Any, Any, httpx2.Response]]) -> None:
        self.handle_async_request = respond  # type: ignore[assignment,method-assign]
