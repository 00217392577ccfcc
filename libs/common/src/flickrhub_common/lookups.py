"""DNS lookups, each in a thread of its own, so that whoever's DNS server hangs holds up nobody else."""

import asyncio
import contextlib
import socket
import threading
from typing import Any
from weakref import WeakValueDictionary

MOST = 64
MOST_EACH = 8
"""Places for the names of one site: seven more sites with a hanging server, and there is still room for everybody."""
LETTERS_OF_A_COUNTRY = 2
LETTERS_OF_A_KIND = 3


class Lookups:
    """Asks the system's resolver, for ``most`` names at once, ``most_each`` of them of one site.

    A lookup that is given up goes on until the resolver ends it, and keeps its place until then. Its thread is no
    reason for the process not to end, which is why this is no ThreadPoolExecutor: an interpreter waits for those.
    """

    def __init__(self, *, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._places = asyncio.Semaphore(most)
        self._most_each = most_each
        self._sites: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name, in the resolver's order. Raises OSError or ValueError if there are none."""
        site = self._sites.setdefault(site_of(host), asyncio.Semaphore(self._most_each))
        await site.acquire()
        try:
            await self._places.acquire()
        except BaseException:
            site.release()
            raise
        found = await self._in_thread(host, port, held=(site, self._places))
        return [str(entry[4][0]) for entry in found]

    async def _in_thread(self, host: str, port: int, *, held: tuple[asyncio.Semaphore, ...]) -> list[tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

        def settle(found: list[tuple[Any, ...]], failure: Exception | None) -> None:
            for place in held:
                place.release()
            if answer.done():
                return
            if failure is None:
                answer.set_result(found)
            else:
                answer.set_exception(failure)

        def look_up() -> None:
            found: list[tuple[Any, ...]] = []
            failure: Exception | None = None
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except Exception as error:  # noqa: BLE001 - the thread's edge: it is raised where somebody waits for it
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, found, failure)

        try:
            threading.Thread(target=look_up, name=f"dns {site_of(host)}", daemon=True).start()
        except RuntimeError as error:  # no more threads are to be had
            settle([], OSError(str(error)))
        return await answer


def site_of(host: str) -> str:
    """Whose DNS server it probably is: the last two labels of the name, three under a country's ``co`` or ``com``."""
    labels = host.rstrip(".").lower().split(".")
    shared = len(labels) > 2 and len(labels[-1]) == LETTERS_OF_A_COUNTRY and len(labels[-2]) <= LETTERS_OF_A_KIND
    return ".".join(labels[-3 if shared else -2 :])
