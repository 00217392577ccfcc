"""MongoDB: the only module that names the driver (PyMongo's async API; docs/adr/0005-drivers.md)."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import pymongo
import pymongo.lock
from bson.errors import BSONError
from pymongo import AsyncMongoClient, InsertOne, UpdateMany, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import MongoSettings

T = TypeVar("T")
Document = dict[str, Any]
Database = AsyncDatabase[Document]
Collection = AsyncCollection[Document]
Write = InsertOne[Document] | UpdateOne | UpdateMany
DuplicateKey = DuplicateKeyError
"""What ``write_together`` answers for a document whose id is taken."""

OPERATION_SECONDS = 2.5
"""Time limit of one operation, so that a request that needs Mongo has its 503 within 3 s."""
INDEXING_SECONDS = 600.0
"""The same of making indexes: one of a large collection takes minutes, and what is cut off begins anew."""


async def _wait_here(awaitable: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - the driver's call
    async with asyncio.timeout(timeout):
        return await awaitable


_GOING = frozenset({6, 7, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 14031})
"""What a server answers that is shutting down, stepping down or losing its network: those of the driver specifications'
retryable writes, and 14031, whose disk is full. With some, a write concern's 91 among them, it comes as a plain failure
of the operation."""
_DUPLICATE = 11000
_UNSENDABLE = (BSONError, DocumentTooLarge, OverflowError, UnicodeError)


if sys.version_info < (3, 12):
    # Python's own wait_for waits in another task until 3.12. The driver waits so for its locked state, and an operation
    # that is cancelled there while the server is away can leave that state locked for ever: every later operation of
    # the client hangs, its close() too.
    pymongo.lock.wait_for = _wait_here  # type: ignore[assignment, attr-defined]


def make_mongo(
    settings: MongoSettings, *, service: str, operation_seconds: float = OPERATION_SECONDS
) -> AsyncMongoClient[Document]:
    """Make the process's one client; it connects on first use. Writes are acknowledged by a majority, journaled."""
    return AsyncMongoClient(
        settings.mongo_url.get_secret_value(),
        appname=f"flickrhub-{service}",
        tz_aware=True,
        timeoutMS=int(operation_seconds * 1000),
        serverSelectionTimeoutMS=int(OPERATION_SECONDS * 1000),
        connectTimeoutMS=1000,
        w="majority",
        journal=True,
    )


@contextmanager
def mongo_errors(dependency: str = "mongo") -> Iterator[None]:
    """Turn the driver's failures into Unavailable; what isn't an outage (a duplicate key) passes."""
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, NetworkTimeout) as error:
        raise Unavailable(dependency) from error
    except PyMongoError as error:
        going = isinstance(error, OperationFailure) and error.code in _GOING
        if going or error.timeout:  # a majority that doesn't acknowledge in time, too
            raise Unavailable(dependency) from error
        raise


@asynccontextmanager
async def making_indexes(database: Database) -> AsyncIterator[None]:
    """Give what is made in the block the time it takes; Unavailable soon, as for any operation, if Mongo is away."""
    await ping_mongo(database.client)
    with mongo_errors(), pymongo.timeout(INDEXING_SECONDS):
        yield


async def index_what_expires(collection: Collection) -> None:
    """Have the server delete documents at their ``expires_at``. Those without one aren't in the index: no cost."""
    await collection.create_index(
        "expires_at",
        name="ended",
        expireAfterSeconds=0,
        partialFilterExpression={"expires_at": {"$type": "date"}},
    )


async def drop_indexes(collection: Collection, names: Iterable[str]) -> None:
    """Drop those of these indexes, made by earlier versions, that there are."""
    for name in set(names) & set(await collection.index_information()):
        await collection.drop_index(name)


def insertion(document: Document) -> Write:
    """A new document, for ``write_together``."""
    return InsertOne(document)


def update(wanted: Document, change: Document) -> Write:
    """A change of the one document that is as ``wanted``, if it is; for ``write_together``."""
    return UpdateOne(wanted, change)


def repeatable_update(wanted: Document, change: Document) -> Write:
    """The same of a change that does no harm when it is made twice; ``wanted`` names its document's ``_id``.

    The driver repeats nothing of it when an answer is lost: whoever asked does, by the Unavailable. So the server keeps
    no note of each statement, which is a quarter of what it costs.
    """
    return UpdateMany(wanted, change)  # which the driver takes for a write that can't be repeated


async def write_together(collection: Collection, writes: Sequence[Write]) -> list[Exception | None]:
    """Make writes of one kind, each to a document of its own, in one operation; what was wrong with each, or None.

    None means what it means for a single write: acknowledged by a majority, journaled. What is wrong with one doesn't
    stop the others, be it refused by the server or impossible to send. Raises Unavailable when none is certain: the
    driver makes an operation of each kind, and an outage in one would hide what became of the others.
    """
    try:
        with mongo_errors():
            await collection.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        return _failures(error, len(writes))
    except _UNSENDABLE as error:  # before anything was sent
        if len(writes) == 1:
            return [error]
        return [failure for write in writes for failure in await write_together(collection, [write])]
    return [None] * len(writes)


async def all_updated(collection: Collection, updates: Sequence[Write]) -> bool:
    """Make updates, each of a document of its own, in one operation; whether each of them found its document.

    True means what ``write_together`` means by None. After False some were made and some not: each has to be looked
    after alone. Raises Unavailable.
    """
    try:
        with mongo_errors():
            result = await collection.bulk_write(updates, ordered=False)
    except (BulkWriteError, *_UNSENDABLE):
        return False
    return result.matched_count == len(updates)


def _failures(error: BulkWriteError, count: int) -> list[Exception | None]:
    concerns = error.details.get("writeConcernErrors", [])
    if any(concern.get("code") in _GOING for concern in concerns):
        raise Unavailable("mongo") from error
    failures: list[Exception | None] = [error if concerns else None] * count
    for found in error.details.get("writeErrors", []):
        failures[found["index"]] = _failure(found)
    return failures


def _failure(found: Document) -> Exception:
    code = found.get("code")
    if code in _GOING:
        return Unavailable("mongo")
    kind = DuplicateKeyError if code == _DUPLICATE else WriteError
    return kind(found.get("errmsg", ""), code, found)


async def ping_mongo(client: AsyncMongoClient[Document]) -> None:
    """Raise Unavailable if the database doesn't answer."""
    with mongo_errors():
        await client.admin.command("ping")
