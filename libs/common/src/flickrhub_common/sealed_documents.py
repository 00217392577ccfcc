"""Sealed values in a MongoDB collection, as a place to reseal. Each service gives collections of its own."""

from collections.abc import AsyncGenerator
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from flickrhub_common.mongo import Document, mongo_errors
from flickrhub_common.resealing import Left, Sealed
from flickrhub_common.sealing import prefix_of

RANGE = 2_000
"""Documents that one operation looks at: a walk that finds nothing ends, too, however large the collection."""
SCAN_SECONDS = 120.0
"""Time limit of one operation; going through everything that waits is one."""


class SealedDocuments:
    """The values of one field (``a.b``), each bound to its document's ``_id``, or to what another field says.

    A document that ``waits`` keeps its value for now: something elsewhere still carries the same one. ``index`` finds
    those that do.
    """

    def __init__(
        self,
        collection: AsyncCollection[Document],
        *,
        field: str,
        purpose: str,
        owner: str = "_id",
        waits: Document | None = None,
        index: str | None = None,
    ) -> None:
        self._collection = collection
        self._owner = owner
        self._field = field
        self._fields = {field: 1, owner: 1}
        self._purpose = purpose
        self._waits = waits
        self._index = index
        self.name = f"{collection.name}.{field}"

    async def under_other_keys(self, newest: str) -> AsyncGenerator[Sealed, None]:
        """In the order of their ids, a range at a time, so that nothing is held open between them."""
        ready: Document = {"$nor": [self._waits]} if self._waits else {}
        after: Document = {}
        while True:
            end = await self._end_of_range(after)
            upto: Document = {} if end is None else {"_id": {"$lte": end}}
            wanted = {"$and": [after, upto, self._older(newest), ready]}
            with mongo_errors():
                found = await self._collection.find(wanted, self._fields).sort("_id", 1).hint("_id_").to_list()
            for document in found:
                yield self._sealed(document)
            if end is None:
                return
            after = {"_id": {"$gt": end}}

    async def swap(self, old: Sealed, text: str) -> bool:
        """Only if the document still holds the value that was read."""
        with mongo_errors():
            outcome = await self._collection.update_one(
                {"_id": old.ref, self._field: old.text}, {"$set": {self._field: text}}
            )
        return outcome.matched_count == 1

    async def waiting(self, newest: str) -> Left:
        """Values of documents that wait."""
        left = Left()
        if self._waits is None:
            return left
        with mongo_errors():
            found = self._collection.find({**self._waits, **self._older(newest)}, self._fields)
            async for document in found.hint(self._index) if self._index else found:
                sealed = self._sealed(document)
                left.add(sealed.owner, sealed.text)
        return left

    async def _end_of_range(self, after: Document) -> Any:
        """The last id of the next range, from the index alone; None if the collection ends before."""
        with mongo_errors():
            last = await self._collection.find(after, {"_id": 1}).sort("_id", 1).skip(RANGE - 1).limit(1).to_list()
        return last[0]["_id"] if last else None

    def _older(self, newest: str) -> Document:
        return {self._field: {"$type": "string", "$not": {"$regex": "^" + prefix_of(newest).replace(".", r"\.")}}}

    def _sealed(self, document: Document) -> Sealed:
        found: Any = document
        for name in self._field.split("."):
            found = found[name]
        ref = str(document["_id"])
        return Sealed(ref, self._purpose, owner=str(document.get(self._owner, ref)), text=str(found))
