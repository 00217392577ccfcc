"""S3: objects under a prefix, presigned URLs, and nothing told that is nobody's business."""

import asyncio
import traceback
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flickrhub_common.errors import Unavailable
from flickrhub_common.http_client import make_http_client
from flickrhub_common.photo_store import open_photo_store
from flickrhub_common.s3_store import S3Failure
from flickrhub_common.settings import PhotoStoreSettings
from tests.integration.photo_store.conftest import KEY_ID, MIB, SECRET, Place, bytes_of, photo


async def test_another_client_finds_the_object_under_the_prefix_with_its_type(
    s3_place: Place, s3: Any, bucket: str, ref: str
) -> None:
    await s3_place.store.put(ref, photo(6 * MIB), content_type="image/heic")
    found = s3.get_object(Bucket=bucket, Key=f"waiting/photos/{ref}")
    assert found["ContentType"] == "image/heic"
    assert found["Body"].read() == bytes_of(0, 6 * MIB)


async def test_a_client_can_put_a_photo_with_a_presigned_url(s3_place: Place, ref: str) -> None:
    url = await s3_place.store.presign(ref, seconds=900)
    assert url is not None
    assert SECRET not in url
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["900"]
    async with make_http_client(timeout_seconds=5) as client:
        reply = await client.put(url, content=bytes_of(0, MIB), headers={"Content-Type": "image/jpeg"})
    assert reply.status_code == 200
    assert await s3_place.store.find(ref) == MIB
    async with s3_place.store.open(ref) as found:
        assert not found.whole, "who put it there didn't look at it"
        assert b"".join([piece async for piece in found.chunks]) == bytes_of(0, MIB)


async def test_a_bucket_without_a_prefix_will_do(s3_settings: PhotoStoreSettings, bucket: str, ref: str) -> None:
    settings = s3_settings.model_copy(update={"upload_store_url": f"s3://{bucket}"})
    async with open_photo_store(settings, database=None) as store:
        await store.put(ref, photo(5), content_type="image/png")
        assert await store.find(ref) == 5


async def test_a_bucket_that_is_not_there_is_unavailable(s3_settings: PhotoStoreSettings, ref: str) -> None:
    settings = s3_settings.model_copy(update={"upload_store_url": "s3://no-such-bucket"})
    async with open_photo_store(settings, database=None) as store:
        with pytest.raises(Unavailable):
            await store.ping()
        with pytest.raises(Unavailable):
            await store.put(ref, photo(6 * MIB), content_type="image/png")


async def test_plain_http_is_used_only_if_the_endpoint_says_so(s3_settings: PhotoStoreSettings, ref: str) -> None:
    endpoint = (s3_settings.upload_s3_endpoint or "").replace("http://", "https://")
    async with open_photo_store(
        s3_settings.model_copy(update={"upload_s3_endpoint": endpoint}), database=None
    ) as store:
        with pytest.raises(Unavailable):
            await store.ping()


async def test_an_error_tells_status_and_code_and_nothing_else(s3_settings: PhotoStoreSettings, ref: str) -> None:
    body = (
        f"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId>"
        "<StringToSign>AWS4-HMAC-SHA256</StringToSign></Error>"
    ).encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = s3_settings.model_copy(update={"upload_s3_endpoint": f"http://127.0.0.1:{port}"})
        async with open_photo_store(settings, database=None) as store:
            with pytest.raises(Unavailable) as caught:
                async with store.open(ref):
                    pass
    assert isinstance(caught.value.__cause__, S3Failure)
    told = "".join(traceback.format_exception(caught.value))
    assert "403 SignatureDoesNotMatch" in told
    for word in (KEY_ID, SECRET, str(port), ref, "StringToSign"):
        assert word not in told
