"""photo_url: servers good and bad. The stack under test allows loopback and nothing else that isn't public."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import Account, Connect, photo_id_of
from tests.support.photo_server import PhotoServer, photo_server
from tests.support.photographs import Photograph, jpeg, png
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

MIB = 1024 * 1024
ACCEPT_NOTHING = b"accept-encoding: identity"


@pytest.fixture
async def photos() -> AsyncIterator[PhotoServer]:
    """A server of photos, good and bad."""
    async with photo_server() as listening:
        yield listening


async def fetched(account: Account, url: str, **more: Any) -> dict[str, Any]:
    """How the upload of a photo at a URL ended."""
    return await account.run_upload({"photo_url": url, **more})


GOOD: dict[str, Callable[[PhotoServer, bytes], str]] = {
    "with its length": lambda photos, data: photos.whole(data),
    "with another content type": lambda photos, data: photos.whole(data, {"Content-Type": "text/html"}),
    "in chunks": lambda photos, data: photos.chunked(data),
    "until the connection ends": lambda photos, data: photos.until_closed(data),
    "after a redirect": lambda photos, data: photos.redirecting(photos.whole(data), 307),
    "after a relative redirect": lambda photos, data: photos.redirecting(
        photos.whole(data).removeprefix(photos.url("")), 302
    ),
    "after five redirects": lambda photos, data: redirects(photos, photos.whole(data), times=5),
    "behind a fragment": lambda photos, data: photos.whole(data) + "#top",
}


def redirects(photos: PhotoServer, url: str, *, times: int) -> str:
    for _ in range(times):
        url = photos.redirecting(url)
    return url


async def test_a_photo_is_fetched_however_its_server_sends_it(
    connect: Connect, sim: Simulator, photos: PhotoServer
) -> None:
    originals = {name: jpeg(300_000) for name in GOOD}
    accounts = dict(zip(GOOD, await asyncio.gather(*(connect() for _ in GOOD)), strict=True))

    async def one(name: str) -> None:
        ended = await fetched(accounts[name], GOOD[name](photos, originals[name].data))
        assert [stored["id"] for stored in await sim.uploaded(originals[name])] == [photo_id_of(ended)], name

    await asyncio.gather(*(one(name) for name in GOOD))


async def test_the_server_is_asked_without_secrets_and_for_nothing_compressed(
    account: Account, photos: PhotoServer
) -> None:
    await fetched(account, photos.whole(jpeg().data))
    (head,) = photos.heads
    assert ACCEPT_NOTHING in head.lower()
    for private in (account.app.api_key, account.user_id, "authorization", "cookie", "traceparent"):
        assert private.encode() not in head.lower(), private


NO_PHOTO: dict[str, tuple[str, Callable[[PhotoServer, Photograph], str]]] = {
    "not there": ("ERR_PHOTO_NOT_FOUND", lambda photos, _: photos.url("/nothing.jpg")),
    "gone": ("ERR_PHOTO_NOT_FOUND", lambda photos, _: photos.answering(410)),
    "forbidden": ("ERR_PHOTO_REFUSED", lambda photos, _: photos.answering(403)),
    "another 2xx": ("ERR_PHOTO_REFUSED", lambda photos, photo: photos.answering(206, body=photo.data)),
    "empty": ("ERR_PHOTO_EMPTY", lambda photos, _: photos.whole(b"")),
    "empty in chunks": ("ERR_PHOTO_EMPTY", lambda photos, _: photos.chunked(b"")),
    "a text": ("ERR_PHOTO_NOT_RECOGNISED", lambda photos, _: photos.whole(b"To whom it may concern: " * 100)),
    "an error page": ("ERR_PHOTO_NOT_RECOGNISED", lambda photos, _: photos.whole(b"<html>sorry</html>")),
    "truncated": ("ERR_PHOTO_TRUNCATED", lambda photos, photo: photos.whole(photo.truncated())),
    "truncated in chunks": ("ERR_PHOTO_TRUNCATED", lambda photos, photo: photos.chunked(photo.truncated())),
    "truncated late": ("ERR_PHOTO_TRUNCATED", lambda photos, _: photos.whole(jpeg(3 * MIB).truncated(0.999))),
    "longer than it says": ("ERR_PHOTO_TRUNCATED", lambda photos, photo: photos.lying(photo.data, says=700)),
    "of 201 MiB, it says": ("ERR_PHOTO_TOO_LARGE", lambda photos, photo: photos.lying(photo.data, says=201 * MIB)),
    "of 2 GiB, it says": ("ERR_PHOTO_TOO_LARGE", lambda photos, photo: photos.lying(photo.data, says=2048 * MIB)),
    "a bomb": ("ERR_PHOTO_ENCODED", lambda photos, _: photos.bomb()),
    "packed": ("ERR_PHOTO_ENCODED", lambda photos, photo: photos.whole(photo.data, {"Content-Encoding": "br"})),
    "in a private network": ("ERR_PHOTO_ADDRESS", lambda photos, _: photos.redirecting("http://10.0.0.1/x.jpg")),
    "at the cloud's own": ("ERR_PHOTO_ADDRESS", lambda photos, _: photos.redirecting("http://169.254.169.254/latest")),
    "in a file": ("ERR_PHOTO_ADDRESS", lambda photos, _: photos.redirecting("file:///etc/passwd")),
    "behind a password": ("ERR_PHOTO_ADDRESS", lambda photos, _: photos.redirecting("http://a:b@127.0.0.1/x.jpg")),
    "nowhere": ("ERR_PHOTO_ADDRESS", lambda photos, _: photos.answering(302)),
    "going in circles": ("ERR_PHOTO_REDIRECTS", lambda photos, _: photos.looping()),
    "six redirects away": (
        "ERR_PHOTO_REDIRECTS",
        lambda photos, photo: redirects(photos, photos.whole(photo.data), times=6),
    ),
}
UNTRIED = "ERR_PHOTO_TRUNCATED"
"""Of these Flickr may have seen the beginning, but never the end."""


async def test_what_will_never_be_a_photo_is_a_failed_job_at_once(
    connect: Connect, sim: Simulator, photos: PhotoServer, receiver: CallbackReceiver
) -> None:
    for names in (list(NO_PHOTO)[:12], list(NO_PHOTO)[12:]):
        await asyncio.gather(*(fails_at_once(name, connect, sim, photos, receiver) for name in names))


async def fails_at_once(
    name: str, connect: Connect, sim: Simulator, photos: PhotoServer, receiver: CallbackReceiver
) -> None:
    account = await connect()
    code, at = NO_PHOTO[name]
    photo, path = jpeg(), f"/{account.user_id}"
    ended = await account.run_upload({"photo_url": at(photos, photo)}, callback_url=receiver.url(path))
    assert ended["state"] == "failed", name
    (call,) = await receiver.received(1, path)
    told = call.json()
    assert (told["error"]["code"], told["attempts_made"]) == (code, 1), name
    assert told["error"]["message"] == ended["failedReason"]
    for place in (ended["failedReason"], *ended["stacktrace"]):
        assert not any(private in place for private in ("127.0.0.1", "http", "10.0.0", "/", ".jpg")), place
    assert await sim.uploaded(photo) == []
    if code != UNTRIED:
        assert await sim.calls(account.app, kind="upload") == [], name


FICKLE: dict[str, Callable[[PhotoServer, Photograph], str]] = {
    "500": lambda photos, _: photos.answering(500),
    "503": lambda photos, _: photos.answering(503, {"Retry-After": "1"}),
    "429": lambda photos, _: photos.answering(429),
    "hanging up half way": lambda photos, photo: photos.hanging_up(photo.data, after=len(photo.data) // 2),
    "hanging up before anything": lambda photos, photo: photos.hanging_up(photo.data, after=0),
    "shorter than it says": lambda photos, photo: photos.lying(photo.data, says=len(photo.data) + 1000),
    "chunks without an end": lambda photos, photo: photos.chunked(photo.data, whole=False),
}


async def test_a_server_that_fails_once_is_asked_again(connect: Connect, sim: Simulator, photos: PhotoServer) -> None:
    async def one(name: str) -> None:
        photo, account = png(100_000), await connect()
        ended = await fetched(account, photos.in_turn(FICKLE[name](photos, photo), photos.whole(photo.data)))
        assert [stored["id"] for stored in await sim.uploaded(photo)] == [photo_id_of(ended)], name
        assert ended["returnvalue"]["observability"]["attempt"] == 2, name

    await asyncio.gather(*(one(name) for name in FICKLE))


async def test_a_server_that_goes_on_failing_is_asked_three_times(
    connect: Connect, sim: Simulator, photos: PhotoServer, receiver: CallbackReceiver
) -> None:
    async def one(name: str) -> None:
        photo, account = png(100_000), await connect()
        path = f"/{account.user_id}"
        params = {"photo_url": FICKLE[name](photos, photo)}
        ended = await account.run_upload(params, callback_url=receiver.url(path))
        assert ended["state"] == "failed", name
        (call,) = await receiver.received(1, path)
        code = "ERR_PHOTO_REFUSED" if name == "429" else "ERR_PHOTO_UNREACHABLE"
        assert (call.json()["error"]["code"], call.json()["attempts_made"]) == (code, 3), name
        assert await sim.uploaded(photo) == []

    await asyncio.gather(*(one(name) for name in FICKLE))


async def test_a_server_that_trickles_is_given_up_in_time_and_holds_nobody_up(
    connect: Connect, sim: Simulator, photos: PhotoServer
) -> None:
    """One byte a second, or nothing at all after a good start; the next attempt finds a better day."""
    slow = [jpeg(50_000), jpeg(50_000), jpeg(50_000)]
    bad = [
        photos.trickling(slow[0].data, at_once=600),
        photos.trickling(slow[1].data),
        photos.trickling(slow[2].data, at_once=2000, every=3600),
    ]
    accounts = await asyncio.gather(*(connect() for _ in range(4)))
    jobs = []
    for account, photo, url in zip(accounts, slow, bad, strict=False):
        jobs.append(await account.enqueue_upload({"photo_url": photos.in_turn(url, photos.whole(photo.data))}))
    await eventually(lambda: len(photos.asked) == len(slow), within=5, what="a request for each")
    started = time.monotonic()
    quick = png()
    await accounts[3].run_upload({"photo_ref": await accounts[3].hand_over(quick)}, within=3)
    assert len(await sim.uploaded(quick)) == 1
    for account, job_id, photo in zip(accounts, jobs, slow, strict=False):
        ended = await account.ended(job_id)
        assert ended["returnvalue"]["observability"]["attempt"] == 2
        assert [stored["id"] for stored in await sim.uploaded(photo)] == [photo_id_of(ended)]
    assert 5 < time.monotonic() - started < 16
