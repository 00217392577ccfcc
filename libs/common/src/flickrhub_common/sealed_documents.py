"""Sealed values in a MongoDB collection, as a place to reseal. Each service gives collections of its own."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from flickrhub_common.mongo import Document, mongo_errors
from flickrhub_common.resealing import Sealed
from flickrhub_common.sealing import key_id, prefix_of

BATCH = 200
SCAN_SECONDS = 120.0
"""Time limit of one operation: a walk through a large collection that finds nothing is one."""


class SealedDocuments:
    """The values of one field (``a.b``), each bound to its document's ``_id``, or to what another field says.

    A document that isn't ``ready`` keeps its value for now: something elsewhere still carries the same one.
    """

    def __init__(
        self,
        collection: AsyncCollection[Document],
        *,
        field: str,
        purpose: str,
        owner: str = "_id",
        ready: Document | None = None,
    ) -> None:
        self._collection = collection
        self._owner = owner
        self._field = field
        self._purpose = purpose
        self._ready = ready
        self.name = f"{collection.name}.{field}"

    async def under_other_keys(self, newest: str) -> AsyncIterator[Sealed]:
        """In the order of their ids, in batches, so that nothing is held open between them."""
        last: Any = None
        while True:
            after: Document = {} if last is None else {"_id": {"$gt": last}}
            wanted = {"$and": [after, self._older(newest), self._ready or {}]}
            with mongo_errors():
                batch = (
                    await self._collection.find(wanted, {self._field: 1, self._owner: 1})
                    .sort("_id", 1)
                    .limit(BATCH)
                    .to_list()
                )
            for document in batch:
                yield Sealed(
                    str(document["_id"]),
                    self._purpose,
                    str(document.get(self._owner, document["_id"])),
                    self._value(document),
                )
            if len(batch) < BATCH:
                return
            last = batch[-1]["_id"]

    async def swap(self, old: Sealed, text: str) -> bool:
        """Only if the document still holds the value that was read."""
        with mongo_errors():
            outcome = await self._collection.update_one(
                {"_id": old.ref, self._field: old.text}, {"$set": {self._field: text}}
            )
        return outcome.matched_count == 1

    async def waiting(self, newest: str) -> Mapping[str, int]:
        """Values of documents that aren't ready."""
        if self._ready is None:
            return {}
        return await self._count({"$and": [self._older(newest), {"$nor": [self._ready]}]})

    async def _count(self, wanted: Document) -> dict[str, int]:
        counts: dict[str, int] = {}
        with mongo_errors():
            async for document in self._collection.find(wanted, {"_id": 0, self._field: 1}):
                kid = key_id(self._value(document))
                counts[kid] = counts.get(kid, 0) + 1
        return counts

    def _older(self, newest: str) -> Document:
        return {self._field: {"$type": "string", "$not": {"$regex": "^" + prefix_of(newest).replace(".", r"\.")}}}

    def _value(self, document: Document) -> str:
        found: Any = document
        for name in self._field.split("."):
            found = found[name]
        return str(found)
