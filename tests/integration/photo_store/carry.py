"""A process that puts a photo of 200 MiB into the store of its environment and reads it again; see `test_memory.py`.

Prints one JSON object: how far its peak of resident memory grew, and the pace of both ways in MiB/s.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator

import uvloop

from flickrhub_common.mongo import make_mongo
from flickrhub_common.photo_store import PhotoStore, open_photo_store
from flickrhub_common.settings import MongoSettings, PhotoStoreSettings, load

MIB = 1024 * 1024


async def _photo(mib: int) -> AsyncIterator[bytes]:
    piece = os.urandom(MIB)
    for number in range(mib):
        for at in range(0, MIB, 65536):  # as they come from a socket
            yield number.to_bytes(8) + piece[at + 8 : at + 65536]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _there_and_back(store: PhotoStore, ref: str, mib: int) -> dict[str, float]:
    began = time.perf_counter()
    assert await store.put(ref, _photo(mib), content_type="image/jpeg") == mib * MIB
    put = time.perf_counter()
    async with store.open(ref) as found:
        assert sum([len(piece) async for piece in found.chunks]) == mib * MIB
    ended = time.perf_counter()
    await store.delete(ref)
    return {"put": mib / (put - began), "open": mib / (ended - put)}


async def main(mib: int) -> None:
    mongo = load(MongoSettings)
    async with (
        make_mongo(mongo, service="test") as client,
        open_photo_store(load(PhotoStoreSettings), database=client[mongo.mongo_db]) as store,
    ):
        await _there_and_back(store, "warm", 1)
        before = _peak()
        paces = await _there_and_back(store, "big", mib)
        sys.stdout.write(json.dumps({"growth": _peak() - before} | paces) + "\n")
        await asyncio.sleep(0)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
