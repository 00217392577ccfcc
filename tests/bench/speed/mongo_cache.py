"""MongoDB as it is after a while: its cache as full as it lets it become.

Until then its memory grows with everything it writes, jobs that ended long ago included, and nothing of that growth
says what a backlog costs.
"""

from bson.binary import Binary
from pymongo import AsyncMongoClient, WriteConcern

from tests.bench.speed.progress import progress

FULL = 0.78
"""Part of the cache; from 0.8 on MongoDB empties it."""
DOCUMENT_BYTES = 256 * 1024
AT_ONCE = 32
MOST_BYTES = 4 * 1024**3
FILLER = "bench_filler"


async def fill_cache(url: str) -> None:
    """Store what nobody reads, outside of replication, until the cache is full."""
    async with AsyncMongoClient[dict[str, object]](url, retryWrites=False) as mongo:
        filler = mongo["local"].get_collection(FILLER, write_concern=WriteConcern(w=1, j=False))
        for _ in range(MOST_BYTES // (AT_ONCE * DOCUMENT_BYTES)):
            cache = (await mongo.admin.command("serverStatus", metrics=0))["wiredTiger"]["cache"]
            held, most = cache["bytes currently in the cache"], cache["maximum bytes configured"]
            if held >= FULL * most:
                break
            # It compresses to nothing on the disk; in the cache it has its full length.
            await filler.insert_many([{"filler": Binary(bytes(DOCUMENT_BYTES))} for _ in range(AT_ONCE)])
        progress(f"MongoDB's cache holds {held / most:.0%} of {most / 2**20:.0f} MiB")
