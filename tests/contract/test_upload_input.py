"""POST /api/v1/uploads with bodies that aren't what they should be: a clear answer, and nothing left of them."""

import asyncio
import contextlib
import gzip
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from flickrhub_common.mongo import Database
from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import UPLOADS, flickrhub
from tests.support.hub_account import Account, Connect, connector
from tests.support.photographs import KINDS, jpeg, mp4
from tests.support.run_env import needed
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

COLLECTIONS = {"uploads": "_id", "photos.files": "_id", "photos.chunks": "files_id"}
MINE = f"{uuid.uuid4().hex}.jpg"
"""The file name of every photo here: until a photo is whole, the hub's record of it names no user."""
MIB = 1024 * 1024
CRLF = "\r\n"


@pytest.fixture(scope="module")
async def one(sim: Simulator) -> AsyncIterator[Account]:
    """An account for all requests that leave nothing behind."""
    async with flickrhub(needed("GATEWAY_URL")) as client:
        yield await connector(client, sim)()


async def nothing_left(database: Database, account: Account) -> None:
    async def gone() -> bool:
        of_it = {"$or": [{"user_id": account.user_id}, {"filename": MINE}]}
        return await database["uploads"].count_documents(of_it) == 0

    await eventually(gone, within=5, what="no record of an upload")


def form(*parts: tuple[str, str, bytes], boundary: str = "frontier") -> tuple[bytes, dict[str, str]]:
    """A multipart body of (what stands behind form-data;, further header lines, content), and its header."""
    body = b""
    for disposition, more, content in parts:
        head = f"--{boundary}{CRLF}Content-Disposition: form-data; {disposition}{CRLF}{more}{CRLF}"
        body += head.encode() + content + CRLF.encode()
    return body + f"--{boundary}--{CRLF}".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def user(account: Account) -> tuple[str, str, bytes]:
    return 'name="user_id"', "", account.user_id.encode()


def file(data: bytes, name: str = MINE) -> tuple[str, str, bytes]:
    return f'name="photo"; filename="{name}"', f"Content-Type: image/jpeg{CRLF}", data


async def refused(account: Account, database: Database, *parts: tuple[str, str, bytes], **request: Any) -> str:
    """What is said of a form that must be refused with 400, in one string."""
    body, headers = form(*parts)
    reply = await account.hub.http.post(UPLOADS, content=body, headers=headers, **request)
    error = failure(reply, 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, account)
    return f"{error['message']} {error.get('details')}"


async def test_without_a_file_it_is_refused(one: Account, database: Database) -> None:
    assert "photo" in await refused(one, database, user(one))


async def test_a_file_without_a_filename_is_a_field_nobody_knows(one: Account, database: Database) -> None:
    assert "photo" in await refused(one, database, user(one), ('name="photo"', "", jpeg().data))


async def test_two_files_are_refused(one: Account, database: Database) -> None:
    assert "one file" in await refused(one, database, user(one), file(jpeg().data), file(jpeg().data, "b.jpg"))


async def test_a_file_name_of_ten_thousand_bytes_is_refused(one: Account, database: Database) -> None:
    assert "filename" in await refused(one, database, user(one), file(jpeg().data, "x" * 9_996 + ".jpg"))
    query = {"user_id": one.user_id, "filename": "x" * 9_996 + ".jpg"}
    failure(await one.hub.hand_over_raw(jpeg().data, **query), 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


async def test_headers_of_a_part_without_end_are_refused(one: Account, database: Database) -> None:
    await refused(one, database, user(one), ('name="photo"; filename="a.jpg"', f"X-Long: {'x' * MIB}{CRLF}", b""))


async def test_a_user_id_is_needed_and_no_second_one(one: Account, database: Database) -> None:
    assert "user_id" in await refused(one, database, file(jpeg().data))
    for other in ("9b2f0c3e-5a41-4f0e-8a55-0d6a1c7e2b11", "x" * 5000):
        another = ('name="user_id"', "", other.encode())
        assert "user_id" in await refused(one, database, user(one), another, file(jpeg().data))
        assert "user_id" in await refused(one, database, user(one), file(jpeg().data), another)
        assert "user_id" in await refused(one, database, another, file(jpeg().data), params={"user_id": one.user_id})
    failure(await one.hub.hand_over_raw(jpeg().data), 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


async def test_unknown_fields_are_named(one: Account, database: Database) -> None:
    assert "colour" in await refused(one, database, user(one), ('name="colour"', "", b"red"), file(jpeg().data))
    reply = await one.hub.hand_over_raw(jpeg().data, user_id=one.user_id, filename=MINE, colour="red")
    assert "colour" in str(failure(reply, 400, "ERR_INVALID_REQUEST"))
    await nothing_left(database, one)


@pytest.mark.parametrize(
    "body", [b"", b"--frontier", b"no multipart at all", b"--frontier\r\n\r\n\r\n--frontier--", b"\x00" * 5000]
)
async def test_what_is_no_form_is_refused(one: Account, database: Database, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
    reply = await one.hub.http.post(UPLOADS, content=body, headers=headers, params={"user_id": one.user_id})
    failure(reply, 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


async def test_a_form_without_a_boundary_or_its_end_is_refused(one: Account, database: Database) -> None:
    body, _ = form(user(one), file(jpeg().data))
    for content_type in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
    ):
        reply = await one.hub.http.post(UPLOADS, content=body, headers={"Content-Type": content_type})
        failure(reply, 400, "ERR_INVALID_REQUEST")
    cut, headers = body[:-20], {"Content-Type": "multipart/form-data; boundary=frontier"}
    failure(await one.hub.http.post(UPLOADS, content=cut, headers=headers), 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


NO_PHOTOS = {
    "nothing": b"",
    "one byte": b"\xff",
    "a text": b"To whom it may concern: " * 100,
    "a page": b"<!doctype html><html><body>no photo</body></html>",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(2000),
    "an archive": b"PK\x03\x04" + bytes(2000),
    "a document": b"%PDF-1.7\n" + bytes(2000),
    "a drawing": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "a sound": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(2000),
    "zeros": bytes(100_000),
}


@pytest.mark.parametrize("name", list(NO_PHOTOS))
async def test_what_is_no_photo_by_its_first_bytes_is_refused(one: Account, database: Database, name: str) -> None:
    assert "photo" in await refused(one, database, user(one), file(NO_PHOTOS[name]))
    reply = await one.hub.hand_over_raw(NO_PHOTOS[name], user_id=one.user_id, filename=MINE)
    failure(reply, 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


async def test_a_compressed_photo_is_no_photo(one: Account, database: Database) -> None:
    """Nothing is unpacked here, so that nothing can be made to swell."""
    for data in (jpeg().data, bytes(64 * MIB)):
        headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
        query = {"user_id": one.user_id, "filename": MINE}
        reply = await one.hub.http.post(UPLOADS, content=gzip.compress(data), headers=headers, params=query)
        failure(reply, 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp"])
async def test_a_truncated_photo_is_refused(one: Account, database: Database, kind: str) -> None:
    for part in (0.6, 0.99):
        data = KINDS[kind]().truncated(part)
        assert "cut off" in await refused(one, database, user(one), file(data))
        failure(await one.hub.hand_over_raw(data, user_id=one.user_id, filename=MINE), 400, "ERR_INVALID_REQUEST")
    large = jpeg(3 * MIB).truncated(0.9)
    failure(await one.hub.hand_over_raw(large, user_id=one.user_id, filename=MINE), 400, "ERR_INVALID_REQUEST")
    await nothing_left(database, one)


@contextlib.asynccontextmanager
async def half_sent(account: Account, *, length: int, start: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A request that announces a body of some length and sends the start of it; hung up at the end of the block."""
    url = httpx2.URL(needed("GATEWAY_URL"))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    lines = [
        f"POST {UPLOADS}?user_id={account.user_id}&filename={MINE} HTTP/1.1",
        f"Host: {url.host}",
        "Content-Type: image/jpeg",
        f"Content-Length: {length}",
    ]
    try:
        writer.write((CRLF.join([*lines, "", ""])).encode() + start)
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()


async def answered(reader: asyncio.StreamReader, *, within: float) -> tuple[int, bytes]:
    """The status and the head of an answer that comes before the request is over."""
    async with asyncio.timeout(within):
        head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head


@pytest.mark.parametrize(
    ("start", "length", "status"),
    [
        (jpeg().data[:600], 201 * MIB, 413),
        (mp4().data[:600], 1025 * MIB, 413),
        (jpeg().data[:600], 10**15, 413),
        (b"a text " * 100, 100 * MIB, 400),
    ],
    ids=["a photo of 201 MiB", "a video of 1025 MiB", "a petabyte", "100 MiB of text"],
)
async def test_what_will_be_refused_is_refused_before_it_is_sent(
    one: Account, database: Database, start: bytes, length: int, status: int
) -> None:
    async with half_sent(one, length=length, start=start) as reader:
        assert (await answered(reader, within=5))[0] == status
    await nothing_left(database, one)


async def test_a_video_may_be_larger_than_a_photo(account: Account, database: Database) -> None:
    async with half_sent(account, length=201 * MIB, start=mp4().data) as reader:
        await receiving(database)
        with pytest.raises(TimeoutError):
            await answered(reader, within=0.5)
    await nothing_left(database, account)


async def receiving(database: Database) -> str:
    """Wait until the hub knows of our upload on its way; its photo_ref."""

    async def found() -> Any:
        return await database["uploads"].find_one({"filename": MINE, "state": "receiving"})

    return str((await eventually(found, within=5, what="a record of the upload"))["_id"])


async def test_a_client_that_hangs_up_half_way_leaves_nothing(account: Account, database: Database) -> None:
    photo = jpeg(6 * MIB)
    async with half_sent(account, length=len(photo.data), start=photo.truncated()):
        ref = await receiving(database)

        async def stored() -> bool:
            return await database["photos.chunks"].count_documents({"files_id": ref}) >= 2

        await eventually(stored, within=5, what="chunks of the photo")

    async def gone() -> bool:
        return not any([await database[name].count_documents({key: ref}) for name, key in COLLECTIONS.items()])

    await eventually(gone, within=10, what="nothing left of the photo")


async def test_a_client_that_trickles_is_sent_away_and_holds_nobody_up(connect: Connect, database: Database) -> None:
    slow, other = await asyncio.gather(connect(), connect())
    started = time.monotonic()
    async with half_sent(slow, length=50_000, start=jpeg(50_000).data[:600]) as reader:
        for _ in range(3):
            before = time.monotonic()
            success(await other.hub.hand_over(jpeg(100_000), other.user_id), 201)
            assert time.monotonic() - before < 2
        status, _ = await answered(reader, within=14)
    assert status == 400
    assert time.monotonic() - started > 5
    await nothing_left(database, slow)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_another_http_method_is_a_405(one: Account, method: str) -> None:
    for path in (UPLOADS, f"{UPLOADS}/presign"):
        reply = await one.hub.http.request(method, path)
        failure(reply, 405, "ERR_METHOD_NOT_ALLOWED")
        assert reply.headers["allow"] == "POST"
