"""Contract, section 4: when a callback is tried again, when it isn't, and what is kept of it. Default settings."""

import asyncio
import itertools
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from flickrhub_common.mongo import Database
from flickrhub_common.topology import CALLBACK_DLQ
from tests.support.callback_receiver import CallbackReceiver, Received, Reply, callback_receiver
from tests.support.hub_account import ECHO, Account, Connect
from tests.support.rabbit_admin import Letter, RabbitAdmin
from tests.support.waiting import eventually

DEADLINE = 15.0
AT_ONCE = 8
"""To one endpoint of a user's."""
LATE = 0.75
"""What a busy machine and the ladder's steps may add to a wait."""


async def told(account: Account, receiver: CallbackReceiver, *replies: Reply, attempts: int) -> list[Received]:
    """Run a job whose callback is answered so; its attempts, which must be just so many."""
    path = f"/{uuid.uuid4().hex}"
    receiver.script(path, *replies)
    await account.enqueue(ECHO, callback_url=receiver.url(path), meta={"path": path})
    await receiver.received(attempts, path)
    await asyncio.sleep(0.3)
    assert len(receiver.at(path)) == attempts
    return receiver.at(path)


def gaps(attempts: list[Received]) -> list[float]:
    return [later.at - earlier.at for earlier, later in itertools.pairwise(attempts)]


async def delivery(database: Database, job_id: str, state: str) -> dict[str, object]:
    async def ended() -> dict[str, object] | None:
        found = await database["deliveries"].find_one({"_id": job_id})
        return found if found and found["state"] == state else None

    return await eventually(ended, what=f"a {state} delivery")


async def letters_of(rabbit: RabbitAdmin, job_id: str) -> list[Letter]:
    return [one for one in await rabbit.peek(CALLBACK_DLQ, 100_000) if job_id.encode() in one.body]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(account: Account, receiver: CallbackReceiver, status: int) -> None:
    receiver.always(Reply(status, body=b""))
    await told(account, receiver, attempts=1)


async def test_a_failed_attempt_is_repeated_after_one_and_two_seconds(
    account: Account, receiver: CallbackReceiver
) -> None:
    first, second = gaps(await told(account, receiver, Reply(500), Reply(500), attempts=3))
    assert 0.8 <= first <= 1.2 + LATE
    assert 1.6 <= second <= 2.4 + LATE


async def test_three_attempts_are_all_and_the_delivery_is_dead_lettered(
    account: Account, receiver: CallbackReceiver, rabbit: RabbitAdmin, database: Database
) -> None:
    receiver.always(Reply(500, body=b"we are closed"))
    attempts = await told(account, receiver, attempts=3)
    job_id = attempts[0].json()["job_id"]
    stored = await delivery(database, job_id, "failed")

    async def buried() -> list[Letter]:
        return await letters_of(rabbit, job_id)

    (letter,) = await eventually(buried, what="the dead letter")
    assert letter.headers["reason"] == "http_500"
    await asyncio.sleep(4.5)  # longer than a fourth attempt would take
    assert len(receiver.at(attempts[0].path)) == 3
    assert len(await letters_of(rabbit, job_id)) == 1
    recorded = stored["attempts"]
    assert isinstance(recorded, list)
    assert [(one["number"], one["status"]) for one in recorded] == [(1, 500), (2, 500), (3, 500)]
    assert recorded[0]["response"] == "we are closed"
    assert (await account.status(job_id))["state"] == "completed"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    account: Account, receiver: CallbackReceiver, status: int
) -> None:
    redirect = Reply(status, {"location": receiver.url("/elsewhere")})
    await told(account, receiver, redirect, attempts=2)
    assert receiver.at("/elsewhere") == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 502])
async def test_other_statuses_are_repeated_as_usual(account: Account, receiver: CallbackReceiver, status: int) -> None:
    (gap,) = gaps(await told(account, receiver, Reply(status), attempts=2))
    assert 0.8 <= gap <= 1.2 + LATE


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured_when_throttled(
    account: Account, receiver: CallbackReceiver, status: int
) -> None:
    (gap,) = gaps(await told(account, receiver, Reply(status, {"retry-after": "3"}), attempts=2))
    assert 3.0 <= gap <= 3.0 + LATE


async def test_retry_after_may_be_a_date(account: Account, receiver: CallbackReceiver) -> None:
    due = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    (gap,) = gaps(await told(account, receiver, Reply(503, {"retry-after": due}), attempts=2))
    assert 3.0 <= gap <= 5.0 + LATE


async def test_retry_after_means_nothing_with_other_statuses(account: Account, receiver: CallbackReceiver) -> None:
    (gap,) = gaps(await told(account, receiver, Reply(500, {"retry-after": "30"}), attempts=2))
    assert gap <= 1.2 + LATE


async def test_retry_after_is_honoured_up_to_an_hour(
    account: Account, receiver: CallbackReceiver, database: Database
) -> None:
    (attempt,) = await told(account, receiver, Reply(503, {"retry-after": "86400"}), attempts=1)

    async def planned() -> datetime | None:
        found = await database["deliveries"].find_one({"_id": attempt.json()["job_id"]})
        return found["next_attempt_at"] if found and found["attempts"] else None

    wait = (await eventually(planned, what="the next attempt's time")) - datetime.now(UTC)
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)


async def test_410_stops(account: Account, receiver: CallbackReceiver, database: Database) -> None:
    (attempt,) = await told(account, receiver, Reply(410), attempts=1)
    stored = await delivery(database, attempt.json()["job_id"], "gone")
    assert stored["reason"] == "http_410"
    await asyncio.sleep(2.5)
    assert len(receiver.at(attempt.path)) == 1


async def test_a_cut_connection_is_a_failed_attempt(account: Account, receiver: CallbackReceiver) -> None:
    await told(account, receiver, Reply(drop=True), attempts=2)


async def test_a_receiver_that_is_not_there_yet_is_called_later(account: Account) -> None:
    closed = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    job_id = await account.enqueue(ECHO, callback_url=f"http://127.0.0.1:{port}/late")
    await account.ended(job_id)
    heard = asyncio.Event()
    async with await asyncio.start_server(_answering(heard), "127.0.0.1", port):
        await asyncio.wait_for(heard.wait(), 6)


def _answering(heard: asyncio.Event) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        heard.set()

    return answer


class Misbehaving:
    """A receiver that answers every connection by a coroutine of the test's; counts what it could send."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.sent = 0

    async def silent(self, writer: asyncio.StreamWriter) -> None:
        """Say nothing at all."""
        await asyncio.sleep(3600)

    async def dripping(self, writer: asyncio.StreamWriter) -> None:
        """Send a success whose body never ends, a byte a second."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(1)

    async def endless(self, writer: asyncio.StreamWriter) -> None:
        """Send a success with a body without end, as fast as it is taken."""
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            self.sent += 65536


async def _misbehave(one: Misbehaving, manner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    one.started.append(asyncio.get_running_loop().time())
    try:
        await reader.readuntil(b"\r\n\r\n")
        await getattr(one, manner)(writer)
    except (OSError, asyncio.CancelledError):
        pass  # the sender gave up, or the test is over
    finally:
        writer.transport.abort()


async def test_one_deadline_of_15_s_covers_silence_and_a_dripping_reply(connect: Connect) -> None:
    manners = {"silent": Misbehaving(), "dripping": Misbehaving()}
    account = await connect()
    servers = []
    for manner, one in manners.items():
        server = await asyncio.start_server(_handler(one, manner), "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        await account.enqueue(ECHO, callback_url=f"http://127.0.0.1:{port}/{manner}")
    for manner, one in manners.items():
        first, second = await eventually(partial(_first_two, one), within=22, what=f"a second attempt ({manner})")
        gap = second - first
        assert DEADLINE + 0.8 <= gap <= DEADLINE + 1.2 + 2 * LATE, manner
    for server in servers:
        server.close()


def _first_two(one: Misbehaving) -> list[float] | None:
    return one.started[:2] if len(one.started) >= 2 else None


async def test_at_most_64_kib_of_a_reply_are_read(account: Account, database: Database) -> None:
    one = Misbehaving()
    server = await asyncio.start_server(_handler(one, "endless"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    job_id = await account.enqueue(ECHO, callback_url=f"http://127.0.0.1:{port}/")
    await delivery(database, job_id, "delivered")
    assert len(one.started) == 1
    assert one.sent < 16 * 1024 * 1024, "only what sockets buffer may have left"
    server.close()


def _handler(one: Misbehaving, manner: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _misbehave(one, manner, reader, writer)

    return handle


async def test_a_delivered_callback_is_recorded_without_its_secret(
    account: Account, receiver: CallbackReceiver, database: Database
) -> None:
    job_id = await account.enqueue(ECHO, callback_url=receiver.url("/kept"), callback_secret="tell-nobody-at-all")
    await receiver.received(1, "/kept")
    stored = await delivery(database, job_id, "delivered")
    assert "tell-nobody-at-all" not in str(stored)
    assert "tell-nobody-at-all" not in str(await database["jobs"].find_one({"_id": job_id}))
    assert json.loads(bytes(stored["body"]))["job_id"] == job_id  # type: ignore[call-overload]


async def test_one_slow_receiver_does_not_delay_another(account: Account, receiver: CallbackReceiver) -> None:
    receiver.script("/slow", *[Reply(delay=10)] * 20)
    await account.run(ECHO)
    for _ in range(20):  # from the cache, so without waiting for turns
        await account.enqueue(ECHO, callback_url=receiver.url("/slow"))
    await receiver.received(AT_ONCE, "/slow")
    async with callback_receiver() as other:
        await account.enqueue(ECHO, callback_url=other.url("/quick"))
        await other.received(1, "/quick", within=2)
    assert len(receiver.at("/slow")) == AT_ONCE
