"""Uploads on a real socket: memory, hang-ups, cut and stalled answers, deaths."""

import contextlib
import hashlib
import io
import socket
import time
from typing import Any

import flickrapi
import pytest
import requests

from flickr_sim.images import jpeg
from tests.integration.flickr_sim.conftest import LoggedIn
from tests.integration.flickr_sim.process import SimulatorProcess

MIB = 1024 * 1024
JPEG = jpeg("of the tests")
START = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
END = b"\r\n--x--\r\n"


def order(simulator: SimulatorProcess, **fault: Any) -> None:
    answer = requests.post(f"{simulator.url}/_sim/faults", json=fault, timeout=10)
    assert answer.status_code == 201, answer.text


def stored(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    photos: list[dict[str, Any]] = requests.get(f"{simulator.url}/_sim/photos?uploaded=true", timeout=10).json()
    return photos


@contextlib.contextmanager
def uploading(simulator: SimulatorProcess, api: flickrapi.FlickrAPI, size: int) -> Any:
    """A connection on which the head of a signed upload of so many bytes, and the beginning of its body, were sent."""
    signed = requests.Request("POST", f"{simulator.url}/services/upload/", auth=api.flickr_oauth.oauth).prepare()
    authorization = signed.headers["Authorization"]
    assert isinstance(authorization, bytes)
    lines = [
        "POST /services/upload/ HTTP/1.1",
        f"Host: 127.0.0.1:{simulator.port}",
        f"Authorization: {authorization.decode()}",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {len(START) + size + len(END)}",
        "Connection: close",
    ]
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + START)
        yield connection


def beginning_of(connection: socket.socket) -> bytes:
    """What comes until the answer's body has begun."""
    received = b""
    while b"<rsp" not in received:
        chunk = connection.recv(65_536)
        assert chunk, received
        received += chunk
    return received


def rest_of(connection: socket.socket) -> bytes:
    """Everything that comes until the end of the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_a_photo_of_200_mib_goes_through_without_being_held(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    before = simulator.most_memory
    piece = bytes(MIB)
    digest = hashlib.sha256(JPEG)
    with uploading(simulator, api, len(JPEG) + 199 * MIB) as connection:
        connection.sendall(JPEG)
        for _ in range(199):
            connection.sendall(piece)
            digest.update(piece)
        connection.sendall(END)
        assert b'<rsp stat="ok">' in rest_of(connection)
    (photo,) = stored(simulator)
    assert (photo["bytes"], photo["sha256"]) == (len(JPEG) + 199 * MIB, digest.hexdigest())
    assert simulator.most_memory - before < 8 * MIB  # a first upload grows a little; seen: less than 1


def test_a_client_that_hangs_up_half_way_leaves_nothing(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    for _ in range(3):
        with uploading(simulator, api, 2 * MIB) as connection:
            connection.sendall(JPEG + bytes(MIB))
    with uploading(simulator, api, len(JPEG)) as connection:
        connection.sendall(JPEG + END)
        assert b'<rsp stat="ok">' in rest_of(connection)
    assert [photo["bytes"] for photo in stored(simulator)] == [len(JPEG)]


def test_a_drop_during_the_body_cuts_while_the_client_still_sends(
    simulator: SimulatorProcess, logged_in: LoggedIn
) -> None:
    api = logged_in(simulator.url)
    order(simulator, match={"kind": "upload"}, drop="during")
    sent = 0
    with uploading(simulator, api, 64 * MIB) as connection, contextlib.suppress(ConnectionError):
        while sent < 64:
            connection.sendall(bytes(MIB))
            sent += 1
    assert 31 <= sent < 64  # about half, and what the socket's own buffers take
    assert stored(simulator) == []
    (call,) = [one for one in requests.get(f"{simulator.url}/_sim/calls", timeout=10).json() if one["kind"] == "upload"]
    assert (call["status"], call["bytes"]) == (None, None)


def test_a_stalled_answer_rests_in_its_middle_with_the_photo_stored(
    simulator: SimulatorProcess, logged_in: LoggedIn
) -> None:
    api = logged_in(simulator.url)
    order(simulator, match={"kind": "upload"}, stall_ms=1500)
    with uploading(simulator, api, len(JPEG)) as connection:
        started = time.monotonic()
        connection.sendall(JPEG + END)
        received = beginning_of(connection)
        (photo,) = stored(simulator)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.settimeout(10)
        received += rest_of(connection)
        assert time.monotonic() - started >= 1.4
    assert received.endswith(f">{photo['id']}</photoid>\n</rsp>\n".encode())


def test_a_killed_simulator_still_has_its_photos_and_its_tickets(
    lasting_simulator: SimulatorProcess, logged_in: LoggedIn
) -> None:
    api = logged_in(lasting_simulator.url)
    requests.post(f"{lasting_simulator.url}/_sim/tickets", json={"seconds": 0}, timeout=10).raise_for_status()
    ticket = api.upload("t", fileobj=io.BytesIO(JPEG), **{"async": 1}).findtext("ticketid")
    before = stored(lasting_simulator)
    order(lasting_simulator, match={"kind": "upload"}, stall_ms=60_000)
    with uploading(lasting_simulator, api, len(JPEG) + 1) as connection:
        connection.sendall(JPEG + b"2" + END)
        beginning_of(connection)
        lasting_simulator.restart()  # in the middle of the answer
    after = stored(lasting_simulator)
    assert after[:1] == before
    assert [photo["bytes"] for photo in after] == [len(JPEG), len(JPEG) + 1]
    state = api.photos.upload.checkTickets(tickets=ticket).find("uploader/ticket")
    assert (state.get("complete"), state.get("photoid")) == ("1", after[0]["id"])
