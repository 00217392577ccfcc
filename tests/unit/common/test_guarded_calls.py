"""The quick guarded client, where its driver does otherwise than the other's.

What both have to do is in `test_guarded_client.py` and `test_guarded_names.py`.
"""

import asyncio

import pytest

from flickrhub_common import guarded_calls
from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.guarded_calls import make_guarded_call_client
from tests.support.listening import listening

LOOPBACK = AddressPolicy.parse("127.0.0.0/8")
REPLY = b"HTTP/1.1 200 OK\r\n%scontent-length: 2\r\n\r\nok"


class Counting:
    """Answers every request on a connection with these headers; counts connections."""

    def __init__(self, headers: bytes = b"") -> None:
        self.connections = 0
        self._reply = REPLY % headers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        while await reader.read(65536):
            writer.write(self._reply)
        writer.transport.abort()


async def _posts(server: Counting, count: int, *, every: float = 0.0) -> list[bytes]:
    async with listening(server.serve) as port, make_guarded_call_client(LOOPBACK, timeout_seconds=5) as client:
        got = []
        for _ in range(count):
            async with client.call("POST", f"http://127.0.0.1:{port}/", headers={}, body=b"{}") as reply:
                got.append(await reply.beginning(most_bytes=100))
            await asyncio.sleep(every)
        return got


@pytest.mark.parametrize(
    "headers", [b"x-long: " + b"y" * 90_000 + b"\r\n", b"x-many: y\r\n" * 900], ids=["long", "many"]
)
async def test_a_strangers_server_may_send_long_headers_and_many(headers: bytes) -> None:
    assert await _posts(Counting(headers), 1) == [b"ok"]


async def test_a_connection_is_kept_but_not_as_long_as_the_other_side_may_keep_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Counting()
    await _posts(server, 3)
    assert server.connections == 1
    monkeypatch.setattr(guarded_calls, "GUARDED_KEPT_SECONDS", 0.01)
    await _posts(server, 2, every=0.05)
    assert server.connections == 3
