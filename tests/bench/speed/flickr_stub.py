"""nginx in Flickr's place: a static answer to every REST call, so that the simulator's cost isn't ours."""

import asyncio
import contextlib
import shutil
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.local.stack.executables import SEARCH_PATH
from tests.support.waiting import eventually

ECHO = "flickr.test.echo"
"""Answered at once."""
SLOW = "flickr.photos.getInfo"
"""Answered after 200 ms, as Flickr does."""
DELAY_SECONDS = 0.2
READY_SECONDS = 10

_MODULES = Path("/usr/lib/nginx/modules")
_ECHOED = (
    '{"method":{"_content":"flickr.test.echo"},"format":{"_content":"json"},"nojsoncallback":{"_content":"1"},'
    '"n":{"_content":"1"},"stat":"ok"}'
)
# What auth asks when an account is connected.
_TOKEN = (
    '{"oauth":{"token":{"_content":"stub"},"perms":{"_content":"delete"},'
    '"user":{"nsid":"1@N00","username":"bench","fullname":"bench"}},"stat":"ok"}'
)
_CONFIGURATION = """\
load_module {modules}/ngx_http_echo_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map "$request_method $arg_method" $answer {{
        default /echo;
        "GET {slow}" /slow;
        "~^POST" /token;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{ rewrite ^ $answer last; }}
        location = /echo {{ internal; return 200 '{echoed}'; }}
        location = /token {{ internal; return 200 '{token}'; }}
        location = /slow {{ internal; echo_sleep {delay}; echo_exec /echo; }}
    }}
}}
"""


def configuration(folder: Path, port: int) -> str:
    """The whole of nginx's configuration."""
    return _CONFIGURATION.format(
        modules=_MODULES, folder=folder, port=port, slow=SLOW, delay=DELAY_SECONDS, echoed=_ECHOED, token=_TOKEN
    )


@contextlib.asynccontextmanager
async def flickr_stub(folder: Path, port: int) -> AsyncIterator[Process]:
    """nginx on this port inside the block, with everything it writes in `folder`."""
    program = shutil.which("nginx", path=SEARCH_PATH)
    assert program, "nginx isn't installed: run deploy/local/bootstrap.sh bench"
    file = _configured(folder, port)
    nginx = await asyncio.create_subprocess_exec(
        *(program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: _accepts(nginx, folder, port), within=READY_SECONDS, what="nginx that accepts")
        yield nginx
    finally:
        with contextlib.suppress(ProcessLookupError):
            nginx.terminate()
        await nginx.wait()


def _configured(folder: Path, port: int) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, port), encoding="utf-8")
    return file


def _accepts(nginx: Process, folder: Path, port: int) -> bool:
    if nginx.returncode is not None:
        log = folder / "error.log"
        raise RuntimeError(f"nginx ended: {log.read_text(encoding='utf-8') if log.exists() else 'without a word'}")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
