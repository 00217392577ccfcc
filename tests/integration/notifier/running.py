"""Runs notifiers, whole or as a process that can be killed."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from flickrhub_common.contracts import Callback
from flickrhub_common.health import Check
from flickrhub_notifier.settings import NotifierSettings
from flickrhub_notifier.wiring import opened
from tests.support.samples import a_completion

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class RunNotifier:
    """Runs notifiers in this process (`await run()`), or as processes (`await run.process()`)."""

    def __init__(self, settings: NotifierSettings, tracing: TracerProvider) -> None:
        self.settings = settings
        self._tracing = tracing
        self._stack = AsyncExitStack()
        self._processes: list[asyncio.subprocess.Process] = []

    async def __call__(self, **changed: Any) -> Mapping[str, Check]:
        """Run one with some settings changed; its readiness checks."""
        settings = self.settings.model_copy(update=changed)
        return await self._stack.enter_async_context(opened(settings, self._tracing))

    async def stop(self) -> None:
        """Stop those that run in this process, as SIGTERM would."""
        await self._stack.aclose()

    async def process(self, **changed: str) -> asyncio.subprocess.Process:
        """Start one as a process of its own, on any port."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "flickrhub_notifier", env=self._environment(changed), stdout=asyncio.subprocess.PIPE
        )
        self._processes.append(process)
        return process

    def _environment(self, changed: Mapping[str, str]) -> dict[str, str]:
        """The settings as variables, without those of whoever runs the tests."""
        values = {name.upper(): _text(value) for name, value in self.settings if value is not None}
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
        return {
            **kept,
            **values,
            "HOST": "127.0.0.1",
            "PORT": "0",
            "METRICS_PORT": "0",
            "LOG_FORMAT": "json",
            **changed,
        }

    async def stop_all(self) -> None:
        """Stop everything."""
        await self.stop()
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def _text(value: Any) -> str:
    secret = getattr(value, "get_secret_value", None)
    return str(secret() if secret else value)


def a_callback(settings: NotifierSettings, job_id: str, url: str, secret: str | None = SECRET) -> Callback:
    """A callback as the gateway makes it."""
    if secret is None:
        return Callback(url=url)
    sealed = settings.key_ring().seal(secret, purpose="callback_secret", owner=job_id)
    return Callback(url=url, sealed_secret=sealed)


def an_ended_job(settings: NotifierSettings, url: str, secret: str | None = SECRET) -> Any:
    """The event of a completed job that asks for a callback."""
    event = a_completion()
    update = {
        "callback": a_callback(settings, event.job_id, url, secret),
        "flickr": '{"stat":"ok","title":"Hà Nội 🌸","ratio":1.10}',
        "meta": {"page": 1},
    }
    return event.model_copy(update=update)
