"""A large photograph on disk, and a server that hands it out as fast as the kernel can."""

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_BEFORE_STAMP = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xfe\x00\x12"
_STAMP_BYTES = 16
_SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
_END = b"\xff\xd9"
_PIECE = 1024 * 1024


def write_jpeg(path: Path, size: int) -> None:
    """Write a JPEG of just this size as far as markers go: header, a scan of noise (every FF stuffed), end."""
    head = _BEFORE_STAMP + secrets.token_hex(_STAMP_BYTES // 2).encode() + _SCAN
    noise = os.urandom(_PIECE).replace(b"\xff", b"\xff\x00")
    left = size - len(head) - len(_END)
    with path.open("wb") as file:
        file.write(head)
        while left > 0:
            piece = noise[:left]
            file.write(piece if left > len(piece) or not piece.endswith(b"\xff") else piece[:-1] + b"\x00")
            left -= len(piece)
        file.write(_END)


def stamp(path: Path) -> None:
    """Make it another photograph, by a comment inside, so that Flickr doesn't know it yet."""
    with path.open("r+b") as file:
        file.seek(len(_BEFORE_STAMP))
        file.write(secrets.token_hex(_STAMP_BYTES // 2).encode())


@contextlib.contextmanager
def served(path: Path) -> Iterator[str]:
    """The file's URL on loopback, inside the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.send_response(200)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.flush()
                self.connection.sendfile(file)

        def log_message(self, *_: object) -> None:
            """Say nothing: the figures tell it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{path.name}"
        finally:
            server.shutdown()
            thread.join()
