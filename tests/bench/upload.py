"""`make bench-upload`: how fast a photo of 200 MiB passes, beside curl, and what it costs in memory.

Runs a stack of its own with the rate limits off. Around every measurement curl sends the same file straight to the
simulated Flickr, signed: each figure is set against the curl runs beside it, since machines are noisy. Measured are:

* gateway, multipart: `curl -F` to POST /api/v1/uploads, until its 201 (the photo is durable in the store then);
* gateway, raw body: the same with `--data-binary`;
* executor, photo_ref: from the store to Flickr's answer, by the executor's own clock (`observability.duration_ms`);
* executor, photo_url: from a server on loopback, through, to Flickr's answer, by the same clock;
* store alone: the same bytes put into the photo store by this program, with nobody before it. What is handed over can't
  pass faster than that: MongoDB writes a photo three times (journal, oplog, collection).

Promised, and the exit status says so: 0.8 of curl's rate through the executor, less than 32 MiB more memory everywhere.

    python -m tests.bench.upload [--mib 200] [--rounds 5] [--json]
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from pymongo import AsyncMongoClient

from deploy.local.stack.down import clean
from deploy.local.stack.places import Places
from deploy.local.stack.up import up
from flickrhub_common.allocation import keep_freed_memory
from flickrhub_common.photo_store import open_photo_store
from flickrhub_common.settings import PhotoStoreSettings
from tests.bench.curl import curl, straight_to_flickr
from tests.bench.figures import MIB, Leg, watched
from tests.bench.photo_file import served, stamp, write_jpeg
from tests.support.flickrhub_client import FlickrHub, flickrhub
from tests.support.run_env import needed
from tests.support.simulator import FlickrApp, simulator

SETTINGS = {"FLICKR_RATE_LIMIT_PER_SECOND": "0", "FLICKR_RATE_LIMIT_PER_HOUR": "0", "LOG_LEVEL": "WARNING"}
Mongo = AsyncMongoClient[dict[str, Any]]

JOB_SECONDS = 120
THROUGH_THE_EXECUTOR = ("photo_ref", "photo_url")
INTO_THE_STORE = ("multipart", "raw body")
STORE_ALONE = "store alone"
PIECE_BYTES = 1024 * 1024


class Bench:
    """The running stack, one account, one file."""

    def __init__(self, hub: FlickrHub, mongo: Mongo, app: FlickrApp, *, user_id: str, photo: Path) -> None:
        self._hub = hub
        self._mongo = mongo
        self._app = app
        self._user_id = user_id
        self._photo = photo
        self._size = photo.stat().st_size
        names = (*THROUGH_THE_EXECUTOR, *INTO_THE_STORE, STORE_ALONE)
        self.legs = {name: Leg(name, wanted=0.8 if name in THROUGH_THE_EXECUTOR else None) for name in names}

    async def round(self) -> None:
        """Measure every leg once, curl between them."""
        for name, leg in self.legs.items():
            stamp(self._photo)
            ref = (await self._hand_over("multipart"))[0] if name == "photo_ref" else ""
            await self._at_rest()
            before = await self._straight()
            async with watched("gateway", "executor-upload") as growth:
                rate = await self._rate(name, ref)
            leg.add(rate, beside=(before + await self._straight()) / 2, growth=growth)

    async def _straight(self) -> float:
        """curl's rate straight to the simulated Flickr, in MiB/s."""
        return self._size / MIB / await straight_to_flickr(needed("SIM_URL"), self._app, self._photo)

    async def _rate(self, name: str, ref: str) -> float:
        if name == "photo_url":
            with served(self._photo) as url:
                return await self._upload({"photo_url": url})
        if name == "photo_ref":
            return await self._upload({"photo_ref": ref})
        if name == STORE_ALONE:
            return await self._put()
        ref, rate = await self._hand_over(name)
        await self._upload({"photo_ref": ref})
        return rate

    async def _at_rest(self) -> None:
        """Wait until all that was written before is on the disk: MongoDB and the system go on for a while."""
        await self._mongo.admin.command("fsync")
        await asyncio.to_thread(os.sync)

    async def _put(self) -> float:
        async with open_photo_store(PhotoStoreSettings(), database=self._mongo["bench"]) as store:
            ref = str(uuid.uuid4())
            started = time.perf_counter()
            await store.put(ref, _pieces(self._photo), content_type="image/jpeg")
            seconds = time.perf_counter() - started
            await store.delete(ref)
        return self._size / MIB / seconds

    async def _hand_over(self, form: str) -> tuple[str, float]:
        url = f"{needed('GATEWAY_URL')}/api/v1/uploads"
        if form == "multipart":
            said, seconds = await curl("-F", f"user_id={self._user_id}", "-F", f"photo=@{self._photo}", url)
        else:
            binary = ("-H", "Content-Type: image/jpeg", "--data-binary", f"@{self._photo}")
            said, seconds = await curl("-X", "POST", *binary, f"{url}?user_id={self._user_id}")
        reply: dict[str, Any] = json.loads(said)
        if reply["error"]:
            sys.exit(f"the gateway refused the photo: {reply['error']}")
        return str(reply["data"]["photo_ref"]), self._size / MIB / seconds

    async def _upload(self, source: dict[str, str]) -> float:
        job_id = await self._hub.accepted(user_id=self._user_id, target="upload", params=source)
        ended = await self._hub.ended(job_id, self._user_id, within=JOB_SECONDS)
        if ended["state"] != "completed":
            sys.exit(f"the upload failed: {ended['failedReason']}")
        milliseconds: int = ended["returnvalue"]["observability"]["duration_ms"]
        return self._size / MIB / (milliseconds / 1000)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@asynccontextmanager
async def a_stack(places: Places, photo: Path) -> AsyncIterator[Bench]:
    """A stack of the bench's own, without limits, and an account; forgotten afterwards."""
    os.environ["RUN_DIR"] = str(places.run)
    clean(places)
    try:
        await asyncio.to_thread(up, places, {**os.environ, **SETTINGS}, free_ports=True)
        async with (
            flickrhub(needed("GATEWAY_URL")) as hub,
            simulator(needed("SIM_URL")) as sim,
            Mongo(needed("MONGO_URL")) as mongo,
        ):
            app = await sim.new_app()
            user_id = await hub.connect(app.api_key, app.api_secret)
            yield Bench(hub, mongo, app, user_id=user_id, photo=photo)
    finally:
        clean(places)


async def main(arguments: list[str]) -> int:
    """Measure and print; exit status 1 when a promise isn't kept."""
    parser = argparse.ArgumentParser(prog="make bench-upload")
    parser.add_argument("--mib", type=int, default=200, help="size of the photo in MiB, at most 200")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    asked = parser.parse_args(arguments)
    keep_freed_memory()  # as the services do, for the store alone
    places = Places.from_environment({"RUN_DIR": ".run-bench"})
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        write_jpeg(photo, asked.mib * MIB)
        async with a_stack(places, photo) as bench:
            await bench.round()  # warms everything up: pools, code, the store's collections
            for leg in bench.legs.values():
                leg.forget()
            for _ in range(asked.rounds):
                await bench.round()
    legs = list(bench.legs.values())
    straight = [beside for leg in legs for beside in leg.beside]
    sys.stdout.write(f"\ncurl straight to the simulated Flickr: {min(straight):.0f} to {max(straight):.0f} MiB/s\n")
    sys.stdout.writelines(f"{leg.line()}\n" for leg in legs)
    if asked.json:
        sys.stdout.write(json.dumps([leg.as_json() for leg in legs]) + "\n")
    return 0 if all(leg.good for leg in legs) else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
