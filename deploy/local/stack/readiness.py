"""When a process can be used, and the reason while it can't."""

import asyncio
import socket
import time
from collections.abc import Collection

from deploy.local.stack import http, mongo, rabbitmq, redis, wait
from deploy.local.stack.errors import NotReady
from deploy.local.stack.plan import PORT_OF, SERVERS, Plan
from deploy.local.stack.supervise import Supervisor

READY_WITHIN_SECONDS = 120
# So many processes one after the other, none of which stayed: the reason is in the log, not in patience.
GIVE_UP_AFTER_DEATHS = 3


def not_ready(name: str, plan: Plan) -> str | None:
    """Why a process of the stack, or a server it was given, can't be used yet; None when it can."""
    port = plan.ports.get(PORT_OF[name])
    if name == "epmd":
        return _refused(port or 0)
    if name == "rabbitmq":
        if port is None:
            return _amqp_refused(plan.exported["RABBIT_URL"])
        return rabbitmq.not_ready(plan.exported["RABBIT_MANAGEMENT_URL"], port=port)
    if name == "mongo":
        return mongo.not_ready(plan.exported["MONGO_URL"], port=port)
    if name == "redis":
        return redis.not_ready(plan.exported["REDIS_URL"])
    reply = http.get(_ready_url(name, plan))
    return None if reply.status == 200 else reply.reason


def _ready_url(name: str, plan: Plan) -> str:
    if name == "flickr-sim":
        return f"{plan.exported['SIM_URL']}/_sim/calls"
    return plan.exported[service_url(name)] + "/health/ready"


def service_url(name: str) -> str:
    """The variable of `.run/env` that holds a service's base URL."""
    return "GATEWAY_URL" if name == "gateway" else PORT_OF[name].replace("_PORT", "_URL")


def given_servers(plan: Plan) -> list[str]:
    """Servers that are used but not ours."""
    return [name for name in SERVERS if PORT_OF[name] not in plan.ports]


def ensure_given(plan: Plan) -> None:
    """Raise NotReady when a server named by the caller's environment can't be reached."""
    for name in given_servers(plan):
        reason = not_ready(name, plan)
        if reason is not None:
            raise NotReady(SERVERS[name][0], f"the server it names can't be used ({reason})")


def wait_ready(names: Collection[str], plan: Plan, supervisor: Supervisor) -> None:
    """Wait until every one of `names` is ready. Raises NotReady naming the first that isn't in time or keeps dying."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    waiting = list(names)
    pids: dict[str, set[int]] = {name: set() for name in names}

    def all_ready() -> bool:
        _ensure_living(waiting, pids, supervisor)
        waiting[:] = [name for name in waiting if not_ready(name, plan) is not None]
        return not waiting

    if not wait.until(all_ready, seconds=deadline - time.monotonic()):
        raise NotReady(waiting[0], not_ready(waiting[0], plan) or "only just now")


def _ensure_living(waiting: Collection[str], pids: dict[str, set[int]], supervisor: Supervisor) -> None:
    processes = supervisor.processes()
    for name in waiting:
        process = processes[name]
        pids[name].add(process.pid)
        deaths = len(pids[name] - {0}) - (process.pid != 0)
        if deaths >= GIVE_UP_AFTER_DEATHS or process.state == "FATAL":
            raise NotReady(name, "it keeps ending")


def _refused(port: int) -> str | None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        return type(error).__name__
    return None


def _amqp_refused(url: str) -> str | None:
    import aio_pika  # noqa: PLC0415 - half a second, needed for somebody else's broker only
    from aio_pika.exceptions import AMQPError  # noqa: PLC0415

    async def log_in() -> None:
        connection = await aio_pika.connect(url, timeout=5)
        await connection.close()

    try:
        asyncio.run(log_in())
    except (AMQPError, OSError, TimeoutError, ValueError) as error:
        return type(error).__name__
    return None
