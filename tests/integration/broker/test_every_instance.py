"""Events that every running copy of a service has to learn."""

import pytest

from flickrhub_common.contracts import TokenReplaced, TokenRevoked
from flickrhub_common.topology import EVENTS_EXCHANGE
from tests.integration.broker.parts import Inbox, MakeMessaging, sends
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_rejection, a_replacement, a_revocation
from tests.support.waiting import eventually


async def instances(make: MakeMessaging, count: int, service: str = "executor") -> list[Inbox]:
    inboxes = [Inbox() for _ in range(count)]
    for inbox in inboxes:
        messaging = make(service)
        messaging.subscribe_every_instance("token.*", (TokenRevoked, TokenReplaced), inbox.take)
        await messaging.start()
    return inboxes


async def test_each_instance_gets_every_event_of_its_pattern(make: MakeMessaging) -> None:
    inboxes = await instances(make, 3)
    sender = await make.sending()
    events = [a_revocation(f"user-{n}") for n in range(10)] + [a_replacement(f"user-{n}") for n in range(10)]
    for event in events:
        await sender.send_event(event)
    for inbox in inboxes:
        await inbox.has_finished(20)
        assert {message.to_bytes() for message in inbox.taken} == {event.to_bytes() for event in events}
        assert len(inbox.taken) == 20


async def test_an_event_that_an_instance_doesnt_read_disturbs_nothing(make: MakeMessaging) -> None:
    (inbox,) = await instances(make, 1)
    sender = await make.sending()
    await sender.send_event(a_rejection())
    await sender.send_event(a_revocation())
    await inbox.has_finished(1)
    assert inbox.taken == [a_revocation()]


async def test_an_error_in_a_handler_drops_the_event_and_goes_on(make: MakeMessaging) -> None:
    inbox = Inbox(failures=[ValueError("a bug")])
    messaging = make("executor")
    messaging.subscribe_every_instance("token.*", (TokenRevoked,), inbox.take, concurrency=1)
    await messaging.start()
    for user in ("user-1", "user-2"):
        await messaging.send_event(a_revocation(user))
    await inbox.has_finished(1)
    assert inbox.finished == [a_revocation("user-2")]
    assert len(inbox.taken) == 2


async def test_garbage_in_an_instances_queue_disturbs_nothing(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    (inbox,) = await instances(make, 1)
    await rabbit_admin.publish(b"\xff", exchange=EVENTS_EXCHANGE, key="token.revoked", type="token.revoked")
    await (await make.sending()).send_event(a_revocation())
    await inbox.has_finished(1)


@pytest.mark.new_vhost
async def test_it_hears_again_after_its_connection_was_closed(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    inboxes = await instances(make, 2)
    sender = await make.sending()
    await rabbit_admin.close_connections()

    await eventually(lambda: sends(sender, a_revocation()), what="sending")

    async def all_heard() -> bool:
        await sends(sender, a_revocation())
        return all(inbox.taken for inbox in inboxes)

    await eventually(all_heard, within=15, what="the event in both instances")


@pytest.mark.new_vhost
async def test_the_queue_of_an_instance_goes_with_it(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    messaging = make("executor")
    messaging.subscribe_every_instance("token.*", (TokenRevoked,), Inbox().take)
    await messaging.start()
    (own,) = [name for name in await rabbit_admin.queues() if name.startswith("executor.token.all.")]
    await messaging.stop()
    await eventually(lambda: _gone(rabbit_admin, own), what="an end of the queue")


async def _gone(admin: RabbitAdmin, queue: str) -> bool:
    return not await admin.exists(queue)
