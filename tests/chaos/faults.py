"""Bad luck: processes killed, silenced and restarted, connections closed; and when all is well again."""

import asyncio
import os
import signal
import time
import uuid

import httpx2

from tests.chaos.plan import Blow, Fault, Kind
from tests.chaos.stack import STOP_SECONDS, Stack
from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import ECHO, Account
from tests.support.waiting import eventually

RESTARTED_SECONDS = 90
RECOVERED_SECONDS = 90.0


class Faults:
    """Strikes, and finds out when the stack has recovered: every service ready and a new job called back."""

    def __init__(self, stack: Stack, probe: Account, receiver: CallbackReceiver) -> None:
        self._stack = stack
        self._probe = probe
        self._receiver = receiver

    async def strike(self, fault: Fault) -> float:
        """Deal the blows; when the last one was over, in monotonic seconds.

        A process that was killed or told to end is over with the signal, a silenced one when it may go on.
        """
        ends = await asyncio.gather(
            *(self._deal(blow, after=number * fault.apart) for number, blow in enumerate(fault.blows))
        )
        return max(ends)

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

    async def _deal(self, blow: Blow, *, after: float) -> float:
        await asyncio.sleep(after)
        match blow.kind:
            case Kind.CLOSE:
                await self._stack.rabbit.close_connections()
                return time.monotonic()
            case Kind.STOP:
                return await self._silence(self._pid(blow.target))
            case Kind.KILL:
                return await self._end(blow.target, signal.SIGKILL)
            case Kind.RESTART:
                return await self._end(blow.target, signal.SIGTERM)

    def _pid(self, target: str) -> int:
        return self._stack.processes.pid(target)

    async def _silence(self, pid: int) -> float:
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(STOP_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)
        return time.monotonic()

    async def _end(self, target: str, number: signal.Signals) -> float:
        old, struck = self._pid(target), time.monotonic()
        os.kill(old, number)
        await eventually(lambda: self._pid(target) != old, within=RESTARTED_SECONDS, what=f"a new {target}")
        return struck
