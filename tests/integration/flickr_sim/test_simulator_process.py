"""What only a real process on a real socket can show: cut connections, signals, deaths."""

import socket
import subprocess
import sys
import time
from typing import Any

import pytest
import requests

from tests.integration.flickr_sim.conftest import LoggedIn
from tests.integration.flickr_sim.process import SimulatorProcess


def order(simulator: SimulatorProcess, **fault: Any) -> None:
    answer = requests.post(f"{simulator.url}/_sim/faults", json={"times": 1, **fault}, timeout=10)
    assert answer.status_code == 201, answer.text


def bytes_answered(simulator: SimulatorProcess, path: str) -> bytes:
    """Send one request over a bare socket and return everything that comes back until the end of the connection."""
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: sim\r\n\r\n".encode())
        received = b""
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


@pytest.mark.parametrize(("drop", "worked"), [("before", False), ("after", True)])
def test_a_drop_is_a_connection_error_with_the_work_undone_or_done(
    simulator: SimulatorProcess, logged_in: LoggedIn, drop: str, worked: bool
) -> None:
    api = logged_in(simulator.url)
    photo_id = next(iter(api.walk(user_id="me", per_page=1))).get("id")
    order(simulator, match={"method": "flickr.photos.setMeta"}, drop=drop)
    with pytest.raises(requests.ConnectionError):
        api.photos.setMeta(photo_id=photo_id, title="dropped")
    title = api.photos.getInfo(photo_id=photo_id).findtext("photo/title")
    assert (title == "dropped") is worked
    dropped = requests.get(f"{simulator.url}/_sim/calls", timeout=10).json()[-2]
    assert (dropped["method"], dropped["status"]) == ("flickr.photos.setMeta", None)


def test_not_one_byte_comes_before_a_drop(simulator: SimulatorProcess) -> None:
    order(simulator, match={"kind": "rest"}, drop="before")
    assert bytes_answered(simulator, "/services/rest/?method=flickr.test.echo") == b""


def test_a_recorded_429_leaves_the_wire_as_haproxy_sent_it(simulator: SimulatorProcess) -> None:
    order(simulator, match={"kind": "rest"}, status=429)
    head, _, body = bytes_answered(simulator, "/services/rest/?method=flickr.test.echo").partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 429 too many requests"
    assert {line.partition(b":")[0] for line in lines[1:]} <= {
        b"cache-control",
        b"connection",
        b"content-type",
        b"content-length",
        b"date",
    }
    assert len(body) == 117


def test_a_slow_call_holds_up_nobody_else(simulator: SimulatorProcess) -> None:
    order(simulator, match={"method": "flickr.test.null"}, latency_ms=1500)
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as slow:
        slow.sendall(b"GET /services/rest/?method=flickr.test.null HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n")
        started = time.monotonic()
        while not requests.get(f"{simulator.url}/_sim/calls", timeout=10).json():
            assert time.monotonic() - started < 10, "the call never arrived"
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.recv(1)
        slow.settimeout(10)
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - started >= 1.4


def test_a_killed_simulator_still_honours_the_tokens_it_gave_out(
    lasting_simulator: SimulatorProcess, logged_in: LoggedIn
) -> None:
    api = logged_in(lasting_simulator.url)
    lasting_simulator.restart()
    assert api.test.login().get("stat") == "ok"


def test_wrong_settings_end_the_process_with_one_clear_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "flickr_sim"],
        env={"SIM_PORT": "many"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith("flickr_sim: SIM_PORT: ")
    assert ended.stderr.count(b"\n") == 1
