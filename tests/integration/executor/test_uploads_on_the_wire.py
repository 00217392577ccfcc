"""Uploads as a simulated Flickr receives them: what it verifies, what it stores, what its faults look like."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from flickr_sim.app import create_app
from flickr_sim.faults import Fault
from flickr_sim.settings import DEMO_API_KEY, DEMO_API_SECRET
from flickr_sim.simulator import Simulator
from flickr_sim.world.models import Photo as StoredPhoto
from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.http_client import make_guarded_client
from flickrhub_common.testing import FakePhotoStore
from flickrhub_common.upload_client import make_upload_client
from flickrhub_executor.adapters.fetched_photos import MOST_REPLY_BYTES, FetchedPhotos
from flickrhub_executor.adapters.flickr_uploads import FlickrUploads
from flickrhub_executor.adapters.photos import PhotoSources
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrReply, Photo, UploadCall
from tests.integration.executor.parts import FakeAuth, new_simulator, served
from tests.support.photo_server import photo_server
from tests.support.photographs import jpeg

LOOPBACK = AddressPolicy.parse("127.0.0.0/8")
FIELDS = {
    "flat": (("title", "Harbour"), ("tags", 'flickrhub:job=00 "two words" one'), ("is_public", "0")),
    "not ASCII": (("title", "日本 😀 é e\u0301"), ("description", "näme \u200b")),
    "reserved": (("title", "a+b&c=d~e%20f/g?h#i!'()*"), ("description", "!*'();:@&=+$,/?%#[]\"<>\\^`{|}~")),
    "space": (("title", " a  b "), ("description", "line\r\nline\nline\r\ttab")),
    "empty": (("title", ""), ("description", ""), ("tags", "")),
    "twice": (("title", "b"), ("title", "a"), ("tags", "x")),
    "long": (("description", "ö" * 60_000),),
}


@dataclass
class Wire:
    """A simulated Flickr, and somebody who may upload to it."""

    simulator: Simulator
    url: str
    credentials: Credentials

    async def send(self, call: UploadCall, *, kind: str = "upload") -> FlickrReply:
        """Send one upload."""
        async with make_upload_client(timeout_seconds=5) as client:
            uploads = FlickrUploads(client, url=f"{self.url}/services/{kind}/", timeout_seconds=20)
            return await uploads.send(call, self.credentials, before_end=lambda: None)

    async def upload(self, content: bytes, *, kind: str = "upload", fields: dict[str, str] | None = None) -> str:
        """Send a photo that is taken; its id."""
        reply = await self.send(UploadCall(tuple((fields or {}).items()), photo(content)), kind=kind)
        assert reply.status == 200
        text = reply.body.decode()
        assert 'stat="ok"' in text, text
        return text.partition("</photoid>")[0].rpartition(">")[2]

    def stored(self) -> list[StoredPhoto]:
        """The photos that were sent here."""
        return [each for each in self.simulator.world.photos.values() if each.file is not None]

    def fault(self, **fault: Any) -> None:
        """Order a fault."""
        self.simulator.faults.order(Fault.model_validate(fault))


def photo(content: bytes) -> Photo:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 1024 * 1024):
            yield content[at : at + 1024 * 1024]

    return Photo(len(content), "harbour.jpg", "image/jpeg", chunks())


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    simulator = new_simulator()
    token = FakeAuth(simulator).token_of("user-1")
    credentials = Credentials("user-1", DEMO_API_KEY, DEMO_API_SECRET, token, "a-token-secret", "f00d")
    async with served(create_app(simulator=simulator)) as url:
        yield Wire(simulator, url, credentials)


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
async def test_flickr_finds_the_signature_right_and_the_photo_whole(
    wire: Wire, fields: tuple[tuple[str, str], ...]
) -> None:
    content = jpeg(3_000_000).data
    reply = await wire.send(UploadCall(fields, photo(content)))
    assert (reply.status, b'stat="ok"' in reply.body) == (200, True), reply.body
    (stored,) = wire.stored()
    assert stored.file is not None
    assert (stored.file.size, stored.file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    (call,) = wire.simulator.calls.after(0)
    assert {name: call.params[name] for name, _ in fields} == dict(fields)


async def test_a_replacement_takes_the_place_of_the_photo(wire: Wire) -> None:
    photo_id = await wire.upload(jpeg().data)
    content = jpeg(5000).data
    assert await wire.upload(content, kind="replace", fields={"photo_id": photo_id}) == photo_id
    (stored,) = wire.stored()
    assert stored.file is not None
    assert stored.file.sha256 == hashlib.sha256(content).hexdigest()


async def test_a_wrong_secret_is_found_out(wire: Wire) -> None:
    wire.credentials = replace(wire.credentials, oauth_token_secret="another")
    reply = await wire.send(UploadCall((("title", "t"),), photo(jpeg().data)))
    assert (reply.status, b"oauth_problem=signature_invalid" in reply.body) == (401, True)
    assert not wire.stored()


@pytest.mark.parametrize(("drop", "stored"), [("before", 0), ("after", 1)])
async def test_an_answer_lost_after_the_last_byte_leaves_doubt(wire: Wire, drop: str, stored: int) -> None:
    wire.fault(match={"kind": "upload"}, drop=drop)
    with pytest.raises(TransientFailure) as caught:
        await wire.upload(jpeg(3_000_000).data)
    assert (caught.value.code, caught.value.doubtful) == ("ERR_FLICKR_UNREACHABLE", True)
    assert len(wire.stored()) == stored


async def test_a_connection_lost_before_the_last_byte_leaves_none(wire: Wire) -> None:
    wire.fault(match={"kind": "upload"}, drop="during")
    with pytest.raises(TransientFailure) as caught:
        await wire.upload(jpeg(30_000_000).data)
    assert (caught.value.code, caught.value.doubtful) == ("ERR_FLICKR_UNREACHABLE", False)
    assert not wire.stored()


async def test_flickr_s_own_errors_are_replies(wire: Wire) -> None:
    wire.fault(match={"kind": "upload"}, code=105)
    reply = await wire.send(UploadCall((), photo(jpeg().data)))
    assert (reply.status, b'<err code="105"' in reply.body) == (200, True)


@pytest.mark.parametrize("source", ["whole", "chunked", "until_closed", "stored"])
async def test_a_photo_goes_from_each_source_to_flickr(wire: Wire, source: str) -> None:
    content, store = jpeg(3_000_000).data, FakePhotoStore()
    store.photos["a-ref"] = content
    async with (
        photo_server() as server,
        make_guarded_client(LOOPBACK, timeout_seconds=5, most_reply_bytes=MOST_REPLY_BYTES) as client,
    ):
        fetched = FetchedPhotos(client, policy=LOOPBACK, bytes_per_second=16_384)
        url = None if source == "stored" else getattr(server, source)(content)
        params = {"photo_ref": "a-ref"} if url is None else {"photo_url": server.redirecting(url)}
        async with PhotoSources(store=store, fetched=fetched).open(params) as found:
            await wire.send(UploadCall((), found))
    (stored,) = wire.stored()
    assert stored.file is not None
    assert stored.file.sha256 == hashlib.sha256(content).hexdigest()
