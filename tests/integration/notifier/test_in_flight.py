"""What is around a callback in flight goes away, and the receiver sees it once all the same."""

import asyncio

from pydantic import SecretStr
from yarl import URL

from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import OPERATION_SECONDS, Database
from flickrhub_common.settings import MongoSettings
from flickrhub_notifier.settings import NotifierSettings
from tests.integration.notifier.running import RunNotifier, an_ended_job
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import eventually


async def delivered(database: Database, job_id: str) -> bool:
    """Whether the delivery is known to have arrived."""
    found = await database["deliveries"].find_one({"_id": job_id})
    return found is not None and found["state"] == "delivered"


async def test_mongo_away_from_the_post_on(
    run: RunNotifier,
    notifier_settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    mongo_settings: MongoSettings,
) -> None:
    url = URL(mongo_settings.mongo_url.get_secret_value())
    event = an_ended_job(notifier_settings, receiver.url("/in"))
    receiver.script("/in", Reply(200, delay=0.3))
    async with tcp_proxy(url.host or "127.0.0.1", url.port or 27017) as proxy:
        around = url.with_host("127.0.0.1").with_port(proxy.port).update_query(directConnection="true")
        await run(mongo_url=SecretStr(str(around)), callback_timeout_seconds=3.0)
        await sender.send_event(event)
        await receiver.received(1, "/in")
        await proxy.cut()
        await asyncio.sleep(OPERATION_SECONDS + 0.5)  # longer than storing is tried at once
        await proxy.restore()
        await eventually(lambda: delivered(database, event.job_id), within=3, what="the delivery's end")
        await run.stop()
    assert len(receiver.at("/in")) == 1


async def test_all_connections_closed_while_a_post_is_under_way(
    run: RunNotifier,
    notifier_settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run(callback_timeout_seconds=3.0)

    async def known() -> bool:
        return len(await rabbit_admin.connections()) == 2

    await eventually(known, what="both connections in the management API, which tells of them late")
    event = an_ended_job(notifier_settings, receiver.url("/in"))
    receiver.script("/in", Reply(200, delay=1.0))
    await sender.send_event(event)
    await receiver.received(1, "/in")
    await rabbit_admin.close_connections(2)
    await eventually(lambda: delivered(database, event.job_id), within=3, what="the delivery's end")
    assert len(receiver.at("/in")) == 1
