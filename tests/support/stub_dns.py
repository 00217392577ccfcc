"""A DNS of a test's own."""

import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any


class StubDns:
    """Stands in for ``socket.getaddrinfo``: addresses by name.

    ``answers`` holds one list of addresses a name for ever, or several lists in a deque, one after the other.
    """

    def __init__(self, *, real: Callable[..., Any] | None = None) -> None:
        """With ``real`` names it wasn't told of are looked up there; else they don't exist."""
        self._real = real
        self.answers: dict[str, Sequence[str] | deque[list[str]]] = {}
        self.asked: list[str] = []

    def __setitem__(self, name: str, addresses: Sequence[str] | deque[list[str]]) -> None:
        self.answers[name] = addresses

    def __call__(self, host: str | bytes | None, port: int, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        self.asked.append(name)
        if self._real and name not in self.answers:
            return self._real(host, port, *more, **named)
        known = self.answers.get(name)
        if isinstance(known, deque):
            known = known.popleft()
        if known is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in known
        ]
