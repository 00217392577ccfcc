"""Tokens lent by auth over internal HTTP, kept in memory for at most a minute."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import quote

from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_common.http_client import HttpClient, HttpError
from flickrhub_executor.models import Credentials

KEPT_SECONDS = 60.0
KEPT_AT_MOST = 10_000


class LentTokens:
    """Asks auth once a minute and user at most; several askers at once share one question."""

    def __init__(
        self, client: HttpClient, *, internal_api_token: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._now = now
        self._headers = {"Authorization": f"Bearer {internal_api_token}"}
        self._kept: OrderedDict[str, tuple[float, Credentials]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Credentials]] = {}

    async def lend(self, user_id: str) -> Credentials:
        """The connection's token. Raises TokenNotFound, or Unavailable when auth isn't there."""
        kept = self._kept.get(user_id)
        if kept is not None and kept[0] > self._now():
            return kept[1]
        task = self._asking.get(user_id)
        if task is None:
            task = self._asking[user_id] = asyncio.create_task(self._ask_and_keep(user_id))
        return await asyncio.shield(task)

    def forget(self, user_id: str) -> None:
        """Drop what is kept, and let no answer that is still under way be kept."""
        self._kept.pop(user_id, None)
        self._asking.pop(user_id, None)

    async def _ask_and_keep(self, user_id: str) -> Credentials:
        task = asyncio.current_task()
        try:
            credentials = await self._ask(user_id)
            if self._asking.get(user_id) is task:
                self._kept[user_id] = (self._now() + KEPT_SECONDS, credentials)
                self._kept.move_to_end(user_id)
                if len(self._kept) > KEPT_AT_MOST:
                    self._kept.popitem(last=False)
            return credentials
        finally:
            if self._asking.get(user_id) is task:
                del self._asking[user_id]

    async def _ask(self, user_id: str) -> Credentials:
        try:
            path = f"/internal/v1/connections/{quote(user_id, safe='')}/lend"
            reply = await self._client.post(path, headers=self._headers)
        except HttpError as error:
            raise Unavailable("auth") from error
        if reply.status_code == 404:
            raise TokenNotFound
        if reply.status_code != 200:
            raise Unavailable("auth")
        try:
            data = reply.json()["data"]
            return Credentials(**{name: data[name] for name in Credentials.__dataclass_fields__})
        except (ValueError, LookupError, TypeError) as error:  # somebody else answers there
            raise Unavailable("auth") from error
