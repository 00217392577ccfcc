"""Ends with 0 if the service in this container answers 200: `healthcheck.py`, or `healthcheck.py /health/ready`.

Run every few seconds with `-I -S` in an image that may have no curl: the standard library only, and little of it.
"""

import os
import socket
import sys

SECONDS = 4.0
EVERYWHERE = ("", "0.0.0.0", "::")


def answers(path: str) -> bool:
    """Whether a GET of path is answered with 200 in time."""
    host = os.environ.get("HOST", "")
    port = int(os.environ.get("PORT") or os.environ["SIM_PORT"])
    address = ("127.0.0.1" if host in EVERYWHERE else host, port)
    try:
        with socket.create_connection(address, timeout=SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if answers((sys.argv[1:] or ["/health"])[0]) else 1)
