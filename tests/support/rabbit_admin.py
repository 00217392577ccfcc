"""RabbitMQ as an operator sees it: through the management API, and through plain AMQP where that API is late.

The management API shows counts up to five seconds old, so a queue's depth and consumers are asked by AMQP.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import aio_pika
import httpx2
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from flickrhub_common.topology import DEAD_LETTER_QUEUES, DELAY_LEVELS, WORK_QUEUES, delay_queue
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

OURS = "flickrhub-"
ADMIN = "test-admin"


@dataclass(frozen=True)
class Letter:
    """A message as it lies in a queue."""

    body: bytes
    type: str | None
    headers: dict[str, Any]
    correlation_id: str | None
    delivery_mode: int
    content_type: str | None
    redelivered: bool


class RabbitAdmin:
    """Looks into one vhost and disturbs it."""

    AWAY = (aio_pika.exceptions.AMQPError, OSError, RuntimeError)
    """What its questions raise while RabbitMQ is away."""

    def __init__(self, management: httpx2.AsyncClient, amqp_url: str, vhost: str) -> None:
        self._management = management
        self._amqp_url = str(URL(amqp_url).update_query(name=ADMIN))
        self._connection: AbstractConnection | None = None
        self.vhost = vhost

    async def create_vhost(self) -> None:
        """Make the vhost, and let the user of the AMQP URL do everything in it."""
        (await self._management.put(f"/api/vhosts/{self._quoted}")).raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        user = quote(URL(self._amqp_url).user or "guest", safe="")
        (await self._management.put(f"/api/permissions/{self._quoted}/{user}", json=everything)).raise_for_status()

    async def delete_vhost(self) -> None:
        """Delete the vhost with everything in it."""
        (await self._management.delete(f"/api/vhosts/{self._quoted}")).raise_for_status()

    async def depth(self, queue: str) -> int:
        """Messages ready in a queue; those that a consumer holds don't count."""
        return (await self._declared(queue)).message_count or 0

    async def consumers(self, queue: str) -> int:
        """Consumers of a queue; 0 also when there is no such queue."""
        try:
            return (await self._declared(queue)).consumer_count or 0
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0

    async def exists(self, queue: str) -> bool:
        """Whether there is such a queue."""
        try:
            await self._declared(queue)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True

    async def queues(self) -> dict[str, dict[str, Any]]:
        """Every queue by name, as the management API describes it (`arguments`, `durable`, `type`, …)."""
        return {queue["name"]: queue for queue in await self._get(f"/api/queues/{self._quoted}")}

    async def exchanges(self) -> dict[str, dict[str, Any]]:
        """Every exchange by name."""
        return {exchange["name"]: exchange for exchange in await self._get(f"/api/exchanges/{self._quoted}")}

    async def peek(self, queue: str, count: int = 100) -> list[Letter]:
        """The first messages of a queue, left in it (a quorum queue counts one delivery more)."""
        return await self._read(queue, count, keep=True)

    async def take(self, queue: str, count: int = 1000) -> list[Letter]:
        """The first messages of a queue, taken out of it."""
        return await self._read(queue, count, keep=False)

    async def publish(
        self, body: bytes, *, exchange: str = "", key: str, headers: Mapping[str, Any] | None = None, **properties: Any
    ) -> None:
        """Publish any bytes with any properties (`type`, `content_type`, `content_encoding`, …), confirmed."""
        message = aio_pika.Message(
            body, headers=dict(headers or {}), delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties
        )
        async with (await self._connected()).channel(on_return_raises=True) as channel:
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            await target.publish(message, routing_key=key, timeout=10)

    async def purge(self, queue: str) -> None:
        """Take every message out of a queue that waits there; those a consumer holds stay."""
        channel = await (await self._connected()).channel()
        await (await channel.get_queue(queue, ensure=False)).purge()
        await channel.close()

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue with what is in it, under its consumers if it has some."""
        async with (await self._connected()).channel() as channel:
            await channel.queue_delete(queue)

    async def declare(self, queue: str) -> None:
        """Declare a queue of the topology as the services do, but bound to nothing."""
        async with (await self._connected()).channel() as channel:
            await channel.declare_queue(queue, durable=True, arguments=WORK_QUEUES[queue].arguments())

    async def connections(self) -> list[str]:
        """The names, for the management API, of the connections that FlickrHub's code has open in this vhost."""
        found = await self._get(f"/api/vhosts/{self._quoted}/connections")
        return [one["name"] for one in found if str(one.get("user_provided_name", "")).startswith(OURS)]

    async def close_connections(self, count: int = 1) -> None:
        """Close every connection of FlickrHub's code in this vhost, as an operator would, once there are so many."""
        names = await eventually(partial(self._connections, count), what=f"{count} connections in the management API")
        for name in names:
            reply = await self._management.delete(
                f"/api/connections/{quote(name, safe='')}", headers={"X-Reason": "closed by a test"}
            )
            if reply.status_code != httpx2.codes.NOT_FOUND:
                reply.raise_for_status()

    async def _connections(self, count: int) -> list[str]:
        found = await self.connections()
        return found if len(found) >= count else []

    async def empty(self) -> None:
        """Take every message out of the queues of the topology, each when nobody consumes it any more."""
        channel = await (await self._connected()).channel()
        ladder = map(delay_queue, reversed(range(DELAY_LEVELS)))  # downwards, as messages go, and then where they end
        for name in (*WORK_QUEUES, *ladder, *WORK_QUEUES, *DEAD_LETTER_QUEUES):
            try:
                await eventually(partial(_unread, channel, name), what=f"the end of the consumers of {name}")
                await (await channel.get_queue(name, ensure=False)).purge()
            except aio_pika.exceptions.ChannelNotFoundEntity:  # which has closed the channel
                channel = await (await self._connected()).channel()
        await channel.close()

    async def lose_what_waits(self) -> None:
        """Take every message out of the delay ladder, as if it had been lost."""
        for level in range(DELAY_LEVELS):
            await self.purge(delay_queue(level))

    async def close(self) -> None:
        """Close what this client itself has open."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    @property
    def _quoted(self) -> str:
        return quote(self.vhost, safe="")

    async def _get(self, path: str) -> list[dict[str, Any]]:
        reply = await self._management.get(path)
        reply.raise_for_status()
        found: list[dict[str, Any]] = reply.json()
        return found

    async def _connected(self) -> AbstractConnection:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aio_pika.connect(self._amqp_url)
        return self._connection

    async def _declared(self, queue: str) -> Any:
        async with (await self._connected()).channel() as channel:
            return (await channel.declare_queue(queue, passive=True)).declaration_result

    async def _read(self, queue: str, count: int, *, keep: bool) -> list[Letter]:
        letters: list[Letter] = []
        async with (await self._connected()).channel() as channel:
            source = await channel.get_queue(queue, ensure=False)
            while len(letters) < count and (message := await source.get(fail=False, no_ack=not keep)) is not None:
                letters.append(
                    Letter(
                        message.body,
                        message.type,
                        dict(message.headers),
                        message.correlation_id,
                        int(message.delivery_mode or 0),
                        message.content_type,
                        bool(message.redelivered),
                    )
                )
        return letters  # closing the channel gives back what wasn't taken


async def _unread(channel: AbstractChannel, queue: str) -> bool:
    return not (await channel.declare_queue(queue, passive=True)).declaration_result.consumer_count


@contextlib.asynccontextmanager
async def running_vhost(amqp_url: str, management_url: str) -> AsyncIterator[RabbitAdmin]:
    """The vhost of a hub that runs, whose URL is `amqp_url`."""
    async with httpx2.AsyncClient(base_url=management_url, timeout=15, trust_env=False) as management:
        admin = RabbitAdmin(management, amqp_url, URL(amqp_url).path[1:] or "/")
        try:
            yield admin
        finally:
            await admin.close()


@contextlib.asynccontextmanager
async def fresh_vhost(amqp_url: str, management_url: str, vhost: str) -> AsyncIterator[RabbitAdmin]:
    """A vhost of one's own, deleted afterwards. `management_url` carries the credentials."""
    management = httpx2.AsyncClient(base_url=management_url, timeout=15, verify=NOBODY, trust_env=False)
    admin = RabbitAdmin(management, str(URL(amqp_url).with_path(vhost)), vhost)
    async with management:
        await admin.create_vhost()
        try:
            yield admin
        finally:
            await admin.close()
            await admin.delete_vhost()
