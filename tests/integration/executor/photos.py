"""Photos on their way: from their sources, by way of executors, to the simulated Flickr."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from flickr_sim.world.models import Photo as StoredPhoto
from flickrhub_common.contracts import JobRequested, Target
from flickrhub_common.photo_store import PhotoStore
from flickrhub_common.settings import MongoSettings
from tests.integration.executor.parts import Hub, a_call
from tests.support.photo_server import PhotoServer
from tests.support.photographs import Photograph


@dataclass
class Photos:
    """Where photos come from, and executors that send them."""

    hub: Hub
    store: PhotoStore
    server: PhotoServer
    mongo: MongoSettings

    async def executor(self, target: Target = Target.UPLOAD, **changed: Any) -> Any:
        """Run an executor in this process, which looks for lost photos soon."""
        return await self.hub.executor(**{**self.settings(target), **changed})

    def settings(self, target: Target = Target.UPLOAD) -> dict[str, Any]:
        """What an executor of photos is told besides."""
        return {
            "target": target,
            "mongo_url": self.mongo.mongo_url,
            "mongo_db": self.mongo.mongo_db,
            "upload_allow_cidrs": "127.0.0.0/8",
            "upload_look_seconds": "0,0.25",
        }

    async def handed_over(self, photograph: Photograph, **params: str) -> JobRequested:
        """A job whose photo is in the store."""
        ref = str(uuid.uuid4())

        async def chunks() -> AsyncIterator[bytes]:
            yield photograph.data

        await self.store.put(ref, chunks(), content_type=photograph.content_type)
        return an_upload(photo_ref=ref, filename=photograph.filename, **params)

    def at_flickr(self) -> list[StoredPhoto]:
        """The photos that were sent."""
        return [photo for photo in self.hub.simulator.world.photos.values() if photo.file is not None]

    def hashes(self) -> list[str]:
        """What they are, byte for byte."""
        return sorted(photo.file.sha256 for photo in self.at_flickr() if photo.file)


def an_upload(**params: str) -> JobRequested:
    """A job for an executor of uploads."""
    return a_call(None, target=Target.UPLOAD, params=params)
