"""Photo stores: in a MongoDB database of the test's own, in a bucket of its own on an S3 server, and the fake."""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.mongo import make_mongo
from flickrhub_common.photo_store import PhotoStore, open_photo_store
from flickrhub_common.settings import MongoSettings, PhotoStoreSettings
from flickrhub_common.testing import FakePhotoStore
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

KEY_ID, SECRET = "AKIAOFTHETESTS", "a-secret-of-the-tests"
MIB = 1024 * 1024


@dataclass
class Place:
    """A store, and what it keeps: every document, object and unfinished upload counts. The proxy is the network to it,
    if there is one."""

    store: PhotoStore
    kept: Callable[[], Awaitable[int]]
    proxy: TcpProxy | None = None


async def photo(size: int, *, piece: int = 300_000) -> AsyncIterator[bytes]:
    """A photo of this size, each MiB of it different, in pieces of this one."""
    for start in range(0, size, piece):
        yield bytes_of(start, min(piece, size - start))


def bytes_of(start: int, length: int) -> bytes:
    """A part of that photo."""
    first, last = start // MIB, (start + length) // MIB
    return b"".join(_mib(number) for number in range(first, last + 1))[start % MIB :][:length]


@lru_cache(32)
def _mib(number: int) -> bytes:
    return random.Random(number).randbytes(MIB)  # noqa: S311 - nothing secret


@pytest.fixture
def ref() -> str:
    """A reference as the gateway makes them."""
    return str(uuid.uuid4())


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 server in this process."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str) -> Iterator[Any]:
    """Amazon's own client of it."""
    client = boto3.client(
        "s3",
        endpoint_url=s3_url,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    yield client
    client.close()


@pytest.fixture
def bucket(s3: Any) -> str:
    """A fresh bucket."""
    name = f"photos-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_settings(s3_url: str, bucket: str) -> PhotoStoreSettings:
    """A store in that bucket, under a prefix."""
    return PhotoStoreSettings(
        upload_store_url=f"s3://{bucket}/waiting/photos",
        upload_s3_endpoint=s3_url,
        upload_s3_access_key_id=KEY_ID,
        upload_s3_secret_access_key=SecretStr(SECRET),
    )


@pytest.fixture
async def gridfs(mongo_settings: MongoSettings) -> AsyncIterator[Place]:
    """GridFS behind a proxy, counted without it."""
    url = URL(mongo_settings.mongo_url.get_secret_value())
    async with AsyncExitStack() as stack:
        direct = await stack.enter_async_context(make_mongo(mongo_settings, service="test"))
        proxy = await stack.enter_async_context(tcp_proxy(url.host or "127.0.0.1", url.port or 27017))
        through = url.with_host("127.0.0.1").with_port(proxy.port).update_query(directConnection="true")
        behind = mongo_settings.model_copy(update={"mongo_url": SecretStr(str(through))})
        client = await stack.enter_async_context(make_mongo(behind, service="test"))
        opened = open_photo_store(PhotoStoreSettings(), database=client[mongo_settings.mongo_db])
        store = await stack.enter_async_context(opened)

        async def kept() -> int:
            database = direct[mongo_settings.mongo_db]
            return sum([await database[f"photos.{name}"].count_documents({}) for name in ("files", "chunks")])

        yield Place(store, kept, proxy)
        await proxy.restore()


@pytest.fixture
async def s3_place(s3_settings: PhotoStoreSettings, s3: Any, bucket: str) -> AsyncIterator[Place]:
    """S3 behind a proxy, counted without it."""
    url = URL(s3_settings.upload_s3_endpoint or "")

    def count() -> int:
        return sum(
            len(listed.get(name, ()))
            for name, listed in (
                ("Contents", s3.list_objects_v2(Bucket=bucket)),
                ("Uploads", s3.list_multipart_uploads(Bucket=bucket)),
            )
        )

    async def kept() -> int:
        return await asyncio.to_thread(count)

    async with tcp_proxy("127.0.0.1", url.port or 80) as proxy:
        behind = s3_settings.model_copy(update={"upload_s3_endpoint": str(url.with_port(proxy.port)).rstrip("/")})
        async with open_photo_store(behind, database=None) as store:
            yield Place(store, kept, proxy)
            await proxy.restore()


@pytest.fixture
def fake() -> Place:
    """The fake that ships with the library."""
    store = FakePhotoStore()

    async def kept() -> int:
        return len(store.photos)

    return Place(store, kept)


@pytest.fixture(params=["gridfs", "s3_place", "fake"])
def place(request: pytest.FixtureRequest) -> Place:
    """Every store in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.fixture
def environment(mongo_settings: MongoSettings) -> dict[str, str]:
    """What a process of its own needs to find this test's database."""
    return {
        **os.environ,
        "MONGO_URL": mongo_settings.mongo_url.get_secret_value(),
        "MONGO_DB": mongo_settings.mongo_db,
    }
