"""The records of uploads: Mongo's collection ``uploads``, which nobody but the gateway reads or writes."""

from datetime import datetime

from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import Database, Document, making_indexes, mongo_errors
from flickrhub_gateway.uploads import Received, Upload, UploadState

COLLECTION = "uploads"

_CLAIMABLE = {"$in": [UploadState.READY.value, UploadState.PRESIGNED.value]}
_CLAIMED: Document = {"job_id": {"$gt": ""}}
"""For the index of claims. Mongo uses it for an id only if it sees that the id fits; of a ``$type`` it doesn't."""


class MongoUploads:
    """Records in Mongo. Every call raises Unavailable when Mongo is away."""

    def __init__(self, database: Database) -> None:
        self._uploads = database[COLLECTION]
        self._indexed = False

    async def make_indexes(self) -> None:
        """Make the indexes; safe to repeat."""
        async with making_indexes(self._uploads.database):
            await self._uploads.create_index("expires_at")
            await self._uploads.create_index("job_id", name="claimed", partialFilterExpression=_CLAIMED)
        self._indexed = True

    async def check_indexes(self) -> None:
        """Raise Unavailable until the indexes were made."""
        if not self._indexed:
            raise Unavailable("mongo")

    async def add(self, upload: Upload) -> None:
        """Store a new record, durably."""
        with mongo_errors():
            await self._uploads.insert_one(_document(upload))

    async def keep(self, ref: str, *, until: datetime) -> None:
        """Have a photo that is still coming in expire later."""
        with mongo_errors():
            receiving = {"_id": ref, "state": UploadState.RECEIVING.value}
            await self._uploads.update_one(receiving, {"$set": {"expires_at": until}})

    async def finish(self, received: Received, *, user_id: str) -> bool:
        """Note that the whole photo is here and whose it is; False if its record has gone meanwhile."""
        change = {
            "state": UploadState.READY.value,
            "user_id": user_id,
            "bytes": received.size,
            "sha256": received.sha256,
            "content_type": received.content_type,
            "expires_at": received.expires_at,
        }
        with mongo_errors():
            receiving = {"_id": received.ref, "state": UploadState.RECEIVING.value}
            outcome = await self._uploads.update_one(receiving, {"$set": change})
        return outcome.matched_count == 1

    async def find(self, ref: str) -> Upload | None:
        """A record."""
        with mongo_errors():
            found = await self._uploads.find_one({"_id": ref})
        return None if found is None else _upload(found)

    async def claim(
        self, ref: str, *, user_id: str, held_by: str | None, job_id: str, now: datetime, until: datetime
    ) -> Upload | None:
        """Have a job use this user's photo, if ``held_by`` has it and it hasn't expired; in one step."""
        free: Document = {
            "_id": ref,
            "user_id": user_id,
            "state": _CLAIMABLE,
            "hidden": False,
            "job_id": held_by,
            "expires_at": {"$gt": now},
        }
        claim = {"job_id": job_id, "claimed_at": now, "expires_at": until}
        with mongo_errors():
            found = await self._uploads.find_one_and_update(free, {"$set": claim})
        return None if found is None else _upload({**found, **claim})

    async def of_job(self, job_id: str) -> list[Upload]:
        """The photos a job has claimed."""
        with mongo_errors():
            return [_upload(found) async for found in self._uploads.find({"job_id": job_id})]

    async def expired(self, *, now: datetime, limit: int) -> list[Upload]:
        """Records past their time, oldest first."""
        with mongo_errors():
            past = self._uploads.find({"expires_at": {"$lte": now}}).sort("expires_at", 1).limit(limit)
            return [_upload(found) async for found in past]

    async def extend(self, seen: Upload, *, until: datetime, job_id: str | None) -> bool:
        """Have an unchanged record expire later, and belong to this job, or to none; whether it was unchanged."""
        return await self._change(seen, {"expires_at": until, "job_id": job_id})

    async def doom(self, seen: Upload, *, until: datetime) -> bool:
        """Have nobody claim an unchanged record any more; it is looked at again at ``until``. Whether it was so."""
        return await self._change(seen, {"state": UploadState.DOOMED.value, "expires_at": until})

    async def remove(self, ref: str) -> None:
        """Forget a record; harmless when there is none."""
        with mongo_errors():
            await self._uploads.delete_one({"_id": ref})

    async def _change(self, seen: Upload, change: Document) -> bool:
        unchanged = {
            "_id": seen.ref,
            "state": seen.state.value,
            "job_id": seen.job_id,
            "expires_at": seen.expires_at,
        }
        with mongo_errors():
            outcome = await self._uploads.update_one(unchanged, {"$set": change})
        return outcome.matched_count == 1


def _document(upload: Upload) -> Document:
    return {
        "_id": upload.ref,
        "user_id": upload.user_id,
        "state": upload.state.value,
        "filename": upload.filename,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "hidden": upload.hidden,
        "job_id": upload.job_id,
        "claimed_at": upload.claimed_at,
        "put_until": upload.put_until,
    }


def _upload(found: Document) -> Upload:
    return Upload(
        ref=found["_id"],
        user_id=found["user_id"],
        state=UploadState(found["state"]),
        filename=found["filename"],
        created_at=found["created_at"],
        expires_at=found["expires_at"],
        hidden=found["hidden"],
        job_id=found["job_id"],
        claimed_at=found["claimed_at"],
        put_until=found["put_until"],
    )
