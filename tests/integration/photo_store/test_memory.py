"""Memory: a photo of 200 MiB goes through a process whose memory hardly grows."""

import asyncio
import json
import sys

import pytest

from flickrhub_common.settings import PhotoStoreSettings
from tests.integration.photo_store.conftest import KEY_ID, SECRET

MOST_MIB = 32


async def _growth(environment: dict[str, str]) -> float:
    """MiB by which the peak of a process grows that puts and reads such a photo, after a small one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.photo_store.carry", "200"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return float(json.loads(out)["growth"])


async def test_gridfs_takes_a_photo_of_200_mib_with_little_memory(environment: dict[str, str]) -> None:
    assert await _growth(environment) < MOST_MIB


async def test_s3_takes_a_photo_of_200_mib_with_little_memory(
    environment: dict[str, str], s3_settings: PhotoStoreSettings
) -> None:
    environment |= {
        "UPLOAD_STORE_URL": s3_settings.upload_store_url,
        "UPLOAD_S3_ENDPOINT": s3_settings.upload_s3_endpoint or pytest.fail("a test's own server"),
        "UPLOAD_S3_ACCESS_KEY_ID": KEY_ID,
        "UPLOAD_S3_SECRET_ACCESS_KEY": SECRET,
    }
    assert await _growth(environment) < MOST_MIB
