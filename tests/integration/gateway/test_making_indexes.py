"""Indexes are made beside the work, on a real Mongo: those of a large collection take minutes."""

import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from yarl import URL

from flickrhub_common.background import beside
from flickrhub_common.mongo import INDEXING_SECONDS, OPERATION_SECONDS, Database, make_mongo
from flickrhub_common.settings import MongoSettings
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.adapters.uploads import MongoUploads
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import eventually

INDEXING = "createIndexes"


class Limits(CommandListener):
    """How long Mongo is given for each command, in seconds; ``at_indexing`` is called before the first index."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.at_indexing: Callable[[], None] | None = None

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == INDEXING and self.at_indexing is not None:
            self.at_indexing()
        self.seconds[event.command_name] = event.command.get("maxTimeMS", 0) / 1000

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    listener = Limits()
    listening = partial(AsyncMongoClient, event_listeners=[listener])
    monkeypatch.setattr("flickrhub_common.mongo.AsyncMongoClient", listening)
    return listener


@pytest.fixture
async def proxy(mongo_settings: MongoSettings) -> AsyncIterator[TcpProxy]:
    url = URL(mongo_settings.mongo_url.get_secret_value())
    assert url.host
    async with tcp_proxy(url.host, url.port or 27017) as proxy:
        yield proxy


@pytest.fixture
async def database(mongo_settings: MongoSettings, limits: Limits, proxy: TcpProxy) -> AsyncIterator[Database]:
    url = URL(mongo_settings.mongo_url.get_secret_value()).with_host("127.0.0.1").with_port(proxy.port)
    through = MongoSettings(mongo_url=SecretStr(str(url.update_query(directConnection="true"))))
    async with make_mongo(through, service="test") as client:
        yield client[mongo_settings.mongo_db]


@pytest.mark.parametrize("store", [MongoJobs, MongoUploads])
async def test_an_index_of_a_large_collection_has_the_time_that_it_takes_and_nothing_else_has(
    store: type[MongoJobs | MongoUploads], database: Database, limits: Limits
) -> None:
    await store(database).make_indexes()
    await database["jobs"].find_one()
    assert limits.seconds[INDEXING] == pytest.approx(INDEXING_SECONDS, abs=30)
    assert limits.seconds["find"] <= OPERATION_SECONDS


async def test_indexes_of_earlier_versions_go(database: Database) -> None:
    await database["jobs"].create_index("expires_at")
    for _ in range(2):
        await MongoJobs(database).make_indexes()
        assert set(await database["jobs"].index_information()) == {"_id_", "unpublished", "ended", "open_jobs"}


async def test_a_stop_doesnt_wait_for_an_index(database: Database, limits: Limits, proxy: TcpProxy) -> None:
    limits.at_indexing = proxy.stall
    async with beside(MongoJobs(database).make_indexes()):

        async def making() -> bool:
            return INDEXING in limits.seconds

        await eventually(making, what="the first index")
        began = time.monotonic()
    assert time.monotonic() - began < 2
    await proxy.restore()
