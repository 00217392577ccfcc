"""Two hundred uploads of all kinds, a third of which meet a fault: Flickr has exactly these photos in the end."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.settings import MongoSettings
from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import Account, connector
from tests.support.many_uploads import ManyUploads
from tests.support.own_hub import OwnHub, own_hub
from tests.support.photo_server import PhotoServer, photo_server
from tests.support.photographs import Photograph, jpeg, mp4, png
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

UPLOADS = 200
PEOPLE = (0, 1, 2, 6, 8)
MIB = 1024 * 1024
SETTINGS = {
    "FLICKR_RATE_LIMIT_PER_HOUR": "0",
    "FLICKR_RATE_LIMIT_PER_SECOND": "0",
    "UPLOAD_LOOK_SECONDS": "0.25,0.5",
}
FAULTS: tuple[dict[str, Any], ...] = (
    {"drop": "before"},
    {"drop": "after"},
    {"drop": "during"},
    {"stall_ms": 1500},
    *({"status": status, "works": works} for status in (500, 502, 503, 504) for works in (True, False)),
    {"status": 429},
    *({"code": code, "works": works} for code in (3, 105, 106, 201) for works in (True, False)),
)
COLLECTIONS = ("uploads", "photos.files", "photos.chunks")

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Case:
    """One of the uploads, made from its number, so that every run has the same mixture."""

    number: int

    @property
    def source(self) -> str:
        return ("photo_url", "photo_ref", "photo_base64")[self.number % 3]

    @property
    def faulty(self) -> bool:
        """Every third of each source."""
        return self.number // 3 % 3 == 0

    @property
    def params(self) -> dict[str, Any]:
        """What Flickr is told; `title` names it."""
        return {"title": f"upload {self.number}"} | ({"async": 1} if self.number % 20 == 7 else {})

    def photo(self) -> Photograph:
        """Small ones mostly; every tenth that needn't go into JSON has up to 5 MiB."""
        if self.number % 10 == 3 and self.source != "photo_base64":
            return jpeg((1 + self.number % 5) * MIB + self.number)
        return (jpeg, png, mp4)[self.number % 4 % 3](2000 + 211 * self.number)


@pytest.fixture(scope="module")
async def ours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub without limits, whose photo store is this test's own."""
    async with own_hub(SETTINGS, logs=tmp_path_factory.mktemp("mixed"), redis_db=10, targets=("upload",)) as running:
        yield running


@pytest.fixture
async def database(ours: OwnHub) -> AsyncIterator[Database]:
    """What it has stored."""
    settings = MongoSettings.model_validate({"mongo_url": ours.mongo_url})
    async with make_mongo(settings, service="test") as client:
        yield client[ours.mongo_db]


@pytest.fixture
async def photos() -> AsyncIterator[PhotoServer]:
    """Where photos are fetched from."""
    async with photo_server() as listening:
        yield listening


async def meets_a_fault(case: Case, account: Account, sim: Simulator) -> None:
    """Flickr will fail once; where it can't know yet which upload it is, at any of the account's."""
    fault = FAULTS[case.number % len(FAULTS)]
    params = None if fault.get("drop") == "during" else {"title": case.params["title"]}
    await sim.fault_upload(account.app, params=params, **fault)


def where(case: Case, photo: Photograph, photos: PhotoServer) -> dict[str, str]:
    """The source; the servers of faulty ones fail first too, every other time half way."""
    if case.source == "photo_ref":
        return {}
    if case.source == "photo_base64":
        return {"photo_base64": base64.b64encode(photo.data).decode()}
    whole = photos.whole(photo.data)
    if not case.faulty:
        return {"photo_url": whole}
    half = photos.hanging_up(photo.data, after=len(photo.data) // 2)
    return {"photo_url": photos.in_turn(half if case.number % 2 else photos.answering(503), whole)}


async def test_two_hundred_mixed_uploads_are_these_two_hundred_photos(
    ours: OwnHub, sim: Simulator, receiver: CallbackReceiver, photos: PhotoServer, database: Database
) -> None:
    connect, uploads = connector(ours.client, sim), ManyUploads(sim, receiver)
    accounts = [await connect(person=person) for person in PEOPLE]

    async def one(case: Case) -> None:
        account, photo = accounts[case.number % len(accounts)], case.photo()
        if case.faulty:
            await meets_a_fault(case, account, sim)
        await uploads.enqueue(account, photo, **where(case, photo, photos), **case.params)

    await asyncio.gather(*(one(Case(number)) for number in range(UPLOADS)))
    calls = await uploads.each_once(within=120)
    assert len(calls) == UPLOADS
    faulty = sum(Case(number).faulty for number in range(UPLOADS))
    assert faulty >= UPLOADS // 3
    for account in accounts:
        assert await sim.faults_left(account.app) == []

    async def empty() -> bool:
        return not any([await database[name].count_documents({}) for name in COLLECTIONS])

    await eventually(empty, within=10, what="an empty photo store")
    again = sum(call["attempts_made"] > 1 for call in calls.values())
    print(f"\n{UPLOADS} uploads, {faulty} with a fault, {again} tried again: {len(calls)} photos")  # noqa: T201 - with -s
