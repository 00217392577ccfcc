"""Jobs of every kind: what a dashboard has to show."""

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable

from tests.observability.server import Series
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import ECHO, LOGIN, SEARCH, Account, connector, photo_id_of
from tests.support.photographs import jpeg
from tests.support.simulator import Simulator
from tests.support.stack_processes import StackProcesses
from tests.support.waiting import eventually

PER_HOUR, PER_SECOND = 60, 10
SETTINGS = {
    "FLICKR_RATE_LIMIT_PER_HOUR": str(PER_HOUR),
    "FLICKR_RATE_LIMIT_PER_SECOND": str(PER_SECOND),
    "JOB_RETRY_DELAY_MS": "300",
    "CALLBACK_RETRY_DELAY_MS": "300",
}
"""Limits that are reached within seconds."""
BURST = 20
BREAKS = 12
"""More callbacks than failures in a row open a breaker."""
RETRIED, REFUSED, HOPELESS = "flickr.photos.getSizes", "flickr.photos.getInfo", "flickr.photos.getExif"
TAGS = "flickr.photos.addTags"
REPLACER = "executor-replace"
UNCONSUMED = 'max (flickrhub_queue_not_empty_seconds{queue="flickr_replace"}) > 5'
"""What Prometheus is asked to know of a queue that nobody consumes."""
PATIENCE_SECONDS = 90.0


async def greedy(hub: FlickrHub, sim: Simulator) -> None:
    """One api key uses up its hour: what it hands over beyond that waits, and nobody waits for it."""
    account = await connector(hub, sim)()
    jobs = (account.enqueue(params={"n": secrets.token_hex(4)}) for _ in range(PER_HOUR + BURST))
    await asyncio.gather(*jobs)


async def one_round(hub: FlickrHub, sim: Simulator, receiver: CallbackReceiver) -> None:
    """A new account's jobs: done, cached, tried again, refused, given up; uploads, failing callbacks, a dead token."""
    account = await connector(hub, sim)()
    await sim.fault(account.app, RETRIED, times=2, status=503)
    await sim.fault(account.app, REFUSED, times=-1, code=1, message="Photo not found")
    await sim.fault(account.app, HOPELESS, times=-1, status=502)
    search = {"text": secrets.token_hex(8)}
    await account.run(SEARCH, params=search, callback_url=receiver.url("/well"))
    await asyncio.gather(
        *(account.run(SEARCH, params=search) for _ in range(3)),
        *(account.run(params={"n": secrets.token_hex(4)}, callback_url=receiver.url("/well")) for _ in range(BURST)),
        *(account.run(method, params={"photo_id": "1"}) for method in (RETRIED, REFUSED, HOPELESS, TAGS)),
        _uploads(account),
        _unheard(account, receiver),
    )
    await sim.fault(account.app, LOGIN, code=98, message="Invalid auth token")
    await account.run(LOGIN)


async def without_executor(
    hub: FlickrHub, sim: Simulator, processes: StackProcesses, seen: Callable[[], Awaitable[list[Series]]]
) -> None:
    """Replacements lie in their queue while nobody consumes it, until that is seen; then they are done."""
    account = await connector(hub, sim)()
    photo_id = photo_id_of(await account.run_upload({"photo_base64": _photo()}))
    async with processes.gone(REPLACER):
        replacement = {"photo_base64": _photo(), "photo_id": photo_id}
        jobs = [await account.enqueue_upload(replacement, target="replace") for _ in range(5)]
        await eventually(seen, within=PATIENCE_SECONDS, every=1, what="a queue that nobody consumes, in Prometheus")
    await asyncio.gather(*(account.ended(job_id, within=PATIENCE_SECONDS) for job_id in jobs))
    await processes.all_ready()


async def _uploads(account: Account) -> None:
    uploaded = await account.run_upload({"photo_base64": _photo()})
    replacement = {"photo_base64": _photo(), "photo_id": photo_id_of(uploaded)}
    await account.run_upload(replacement, target="replace", within=PATIENCE_SECONDS)


async def _unheard(account: Account, receiver: CallbackReceiver) -> None:
    """Callbacks to a receiver that is away, so many that its breaker opens, and to one that doesn't want them."""
    receiver.script("/broken", *(Reply(status=503) for _ in range(3 * BREAKS)))
    receiver.script("/gone", Reply(status=410))
    url = receiver.url("/gone")
    await account.run(ECHO, params={"n": secrets.token_hex(4)}, callback_url=url)
    url = receiver.url("/broken")
    jobs = (account.run(ECHO, params={"n": secrets.token_hex(4)}, callback_url=url) for _ in range(BREAKS))
    await asyncio.gather(*jobs)


def _photo() -> str:
    return base64.b64encode(jpeg().data).decode()
