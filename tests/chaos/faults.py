"""Bad luck: processes killed, silenced and restarted, connections closed; and when all is well again."""

import asyncio
import os
import signal
import time
import uuid

import httpx2

from tests.chaos.plan import Blow, Fault, Kind
from tests.chaos.rounds import Dealt
from tests.chaos.stack import LONG_STOP_SECONDS, STOP_SECONDS, Stack
from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import ECHO, Account
from tests.support.waiting import eventually

RESTARTED_SECONDS = 90
RECOVERED_SECONDS = 90.0
LISTED_SECONDS = 30


class Faults:
    """Strikes, and finds out when the stack has recovered: every service ready and a new job called back."""

    def __init__(self, stack: Stack, probe: Account, receiver: CallbackReceiver) -> None:
        self._stack = stack
        self._probe = probe
        self._receiver = receiver

    async def strike(self, fault: Fault) -> tuple[Dealt, ...]:
        """Deal the blows, and say when each began and was over."""
        dealt = (self._deal(blow, after=number * fault.apart) for number, blow in enumerate(fault.blows))
        return tuple(await asyncio.gather(*dealt))

    async def recovered(self) -> None:
        """Wait until all is well. Raises AssertionError if that takes too long."""
        await self._stack.processes.all_ready()
        path = f"/probe-{uuid.uuid4().hex}"
        body = {"method": ECHO, "params": {"probe": path}, "callback_url": self._receiver.url(path)}

        async def accepted() -> bool:
            try:
                reply = await self._stack.hub.enqueue(user_id=self._probe.user_id, **body)
            except httpx2.HTTPError:
                return False
            return reply.status_code == httpx2.codes.ACCEPTED

        await eventually(accepted, within=RECOVERED_SECONDS, every=0.2, what="a job accepted after the fault")
        await self._receiver.received(1, path, within=RECOVERED_SECONDS)

    async def _deal(self, blow: Blow, *, after: float) -> Dealt:
        await asyncio.sleep(after)
        match blow.kind:
            case Kind.CLOSE:
                began = await self._close()
            case Kind.STOP:
                began = await self._silence(self._pid(blow.target), seconds=STOP_SECONDS)
            case Kind.LONG_STOP:
                began = await self._silence(self._pid(blow.target), seconds=LONG_STOP_SECONDS)
            case Kind.KILL:
                began = await self._end(blow.target, signal.SIGKILL)
            case Kind.RESTART:
                began = await self._end(blow.target, signal.SIGTERM)
        return Dealt(blow, began, time.monotonic())

    def _pid(self, target: str) -> int:
        return self._stack.processes.pid(target)

    async def _close(self) -> float:
        """Close the connections of all our processes; the management API lists them only after some seconds."""
        rabbit = self._stack.rabbit

        async def listed() -> bool:
            return len(await rabbit.connections()) >= self._stack.connections

        await eventually(listed, within=LISTED_SECONDS, every=0.5, what="every connection in the management API")
        began = time.monotonic()
        await rabbit.close_connections(self._stack.connections)
        return began

    async def _silence(self, pid: int, *, seconds: float) -> float:
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return began

    async def _end(self, target: str, number: signal.Signals) -> float:
        """Returns when there is a new process."""
        old, began = self._pid(target), time.monotonic()
        os.kill(old, number)
        await eventually(lambda: self._pid(target) != old, within=RESTARTED_SECONDS, what=f"a new {target}")
        return began
