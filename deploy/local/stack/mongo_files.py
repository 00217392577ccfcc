"""A database as files, and back: those of mongodump, which mongorestore reads too, in bounded memory.

A folder holds for each collection ``<name>.bson``, its documents one after the other, and ``<name>.metadata.json``,
its indexes. All of it is one moment of the database. Only its owner may read it.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

Found = Database[dict[str, Any]]

BATCH_DOCUMENTS = 1000
BATCH_BYTES = 8 * 1024 * 1024
SMALLEST_DOCUMENT = 5
LARGEST_DOCUMENT = 17 * 1024 * 1024
_RAW = CodecOptions(document_class=RawBSONDocument)
_SAFE = WriteConcern(w="majority", j=True)


class Incomplete(Exception):
    """A file ends within a document, or isn't one of documents."""


def dump(database: Found, folder: Path) -> dict[str, int]:
    """Write every collection into an existing folder, as of one moment; how many documents each has."""
    names = sorted(name for name in database.list_collection_names() if not name.startswith("system."))
    with database.client.start_session(snapshot=True) as session:
        return {name: _dump_one(database, name, folder, session) for name in names}


def load(database: Found, folder: Path) -> dict[str, int]:
    """Store what ``dump`` has written: documents first, then their indexes. Raises Incomplete."""
    return {path.stem: _load_one(database, path) for path in sorted(folder.glob("*.bson"))}


def counted(folder: Path) -> dict[str, int]:
    """How many documents each collection of a dump has, all of it read. Raises Incomplete, OSError, ValueError."""
    return {path.stem: _count_one(path) for path in sorted(folder.glob("*.bson"))}


def occupied(database: Found, folder: Path) -> list[str]:
    """The collections of a dump that have documents already."""
    names = [path.stem for path in sorted(folder.glob("*.bson"))]
    return [name for name in names if database[name].find_one({}, {"_id": True}) is not None]


def private_file(path: Path) -> BinaryIO:
    """A new file that only this user may read. Raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _dump_one(database: Found, name: str, folder: Path, session: ClientSession) -> int:
    count = 0
    with private_file(folder / f"{name}.bson") as file:
        batches: Iterable[Any] = database[name].find_raw_batches(
            {}, session=session
        )  # of bytes, whatever its stubs say
        for batch in batches:
            file.write(batch)
            count += _count(batch)
        _to_disk(file)
    described = {"indexes": list(database[name].list_indexes()), "collectionName": name, "type": "collection"}
    with private_file(folder / f"{name}.metadata.json") as file:
        file.write(json_util.dumps(described, json_options=json_util.CANONICAL_JSON_OPTIONS).encode())
        _to_disk(file)
    return count


def _count_one(path: Path) -> int:
    _indexes(path)
    with path.open("rb") as file:
        return sum(map(len, in_batches(file)))


def _load_one(database: Found, path: Path) -> int:
    collection = database.get_collection(path.stem, codec_options=_RAW, write_concern=_SAFE)
    count = 0
    with path.open("rb") as file:
        for batch in in_batches(file):
            collection.insert_many(batch, ordered=False)
            count += len(batch)
    if indexes := _indexes(path):
        database.command("createIndexes", path.stem, indexes=indexes)
    return count


def _indexes(path: Path) -> list[dict[str, Any]]:
    described = json_util.loads(path.with_name(f"{path.stem}.metadata.json").read_text(encoding="utf-8"))
    indexes = [{key: value for key, value in each.items() if key != "ns"} for each in described["indexes"]]
    return [each for each in indexes if each["name"] != "_id_"]


def in_batches(file: BinaryIO) -> Iterator[list[RawBSONDocument]]:
    """The documents of a file, as many at once as may be in memory. Raises Incomplete."""
    batch: list[RawBSONDocument] = []
    size = 0
    while head := file.read(4):
        document = _rest_of(file, head)
        if batch and (len(batch) >= BATCH_DOCUMENTS or size + len(document) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(RawBSONDocument(document))
        size += len(document)
    if batch:
        yield batch


def _rest_of(file: BinaryIO, head: bytes) -> bytes:
    length = struct.unpack("<i", head)[0] if len(head) == 4 else 0
    if not SMALLEST_DOCUMENT <= length <= LARGEST_DOCUMENT:
        raise Incomplete
    document = head + file.read(length - 4)
    if len(document) < length:
        raise Incomplete
    return document


def _count(batch: bytes) -> int:
    count = at = 0
    while at < len(batch):
        count += 1
        at += struct.unpack_from("<i", batch, at)[0]
    return count


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
