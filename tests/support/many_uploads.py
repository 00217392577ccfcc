"""Many uploads at once, followed by their callbacks, and counted at Flickr in the end."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import Account
from tests.support.photographs import Photograph
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

AT_ONCE = 20


@dataclass
class ManyUploads:
    """Jobs, each with the photograph it is to bring to Flickr."""

    sim: Simulator
    receiver: CallbackReceiver
    photos: dict[str, Photograph] = field(default_factory=dict)
    _path: str = field(default_factory=lambda: f"/{uuid.uuid4().hex}")
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def enqueue(self, account: Account, photo: Photograph, **params: Any) -> str:
        """Enqueue the upload of a photo, handed over before unless the params have another source; the job's id."""
        async with self._gate:
            if not {"photo_url", "photo_base64"} & set(params):
                params["photo_ref"] = await account.hand_over(photo)
            job_id = await account.enqueue_upload(params, callback_url=self.receiver.url(self._path))
        self.photos[job_id] = photo
        return job_id

    def told(self) -> dict[str, dict[str, Any]]:
        """What the callbacks that have come so far say, by job."""
        calls = [request.json() for request in self.receiver.at(self._path)]
        return {call["job_id"]: call for call in calls}

    async def ended(self, *, within: float) -> dict[str, dict[str, Any]]:
        """Wait until every job has ended; what the callback of each says."""

        def all_told() -> bool:
            return self.told().keys() == self.photos.keys()

        await eventually(all_told, within=within, every=0.2, what=f"the end of {len(self.photos)} uploads")
        return self.told()

    async def each_once(self, *, within: float) -> dict[str, dict[str, Any]]:
        """Wait for the end of every job: all have completed, and Flickr has each photo once, under the id they say."""
        calls = await self.ended(within=within)
        failed = [call["error"] for call in calls.values() if call["state"] != "completed"]
        assert failed == []
        stored = await self.sim.uploaded(*self.photos.values())
        said = {call["result"]["photoid"]["_content"]: self.photos[job_id].sha256 for job_id, call in calls.items()}
        assert sorted(photo["id"] for photo in stored) == sorted(said)
        assert {photo["id"]: photo["sha256"] for photo in stored} == said
        assert len(said) == len(self.photos)
        return calls
