"""Ports: chosen by variables, checked before anything starts."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import ports
from deploy.local.stack.errors import BadSetting, PortTaken


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_every_port_has_its_default() -> None:
    assert ports.chosen({})["PORT"] == 3000
    assert ports.chosen({}) == ports.DEFAULTS


def test_a_variable_of_the_caller_sets_its_port_and_no_other() -> None:
    assert ports.chosen({"AUTH_PORT": "4101", "PATH": "/bin"}) == ports.DEFAULTS | {"AUTH_PORT": 4101}


@pytest.mark.parametrize("value", ["0", "65536", "-1", "80a", "8 0", "٣٠٠٠", "99999999999999999999"])
def test_a_value_that_is_no_port_is_refused_by_its_variables_name(value: str) -> None:
    with pytest.raises(BadSetting, match=r"^REDIS_PORT must be a port between 1 and 65535$"):
        ports.chosen({"REDIS_PORT": value})


def test_one_port_for_two_processes_is_refused() -> None:
    with pytest.raises(BadSetting, match=r"^PORT and SIM_PORT are both 3000: "):
        ports.chosen({"SIM_PORT": "3000"})


def test_a_taken_port_is_told_in_one_line_with_variable_and_process(taken_port: int) -> None:
    with pytest.raises(PortTaken) as caught:
        ports.ensure_free({"MONGO_PORT": taken_port}, gateway_host="127.0.0.1")
    name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    assert str(caught.value) == (
        f"port {taken_port} is taken by {name} (pid {os.getpid()}): set MONGO_PORT to another port and try again"
    )


def test_the_gateways_port_is_checked_on_every_address_it_will_listen_on() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        ports.ensure_free({"PORT": port}, gateway_host="127.0.0.1")
        with pytest.raises(PortTaken):
            ports.ensure_free({"PORT": port}, gateway_host="0.0.0.0")


def test_a_port_whose_last_connection_lingers_is_free(taken_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    ports.ensure_free({"PORT": port}, gateway_host="127.0.0.1")


def test_free_ports_are_all_different_and_never_used_for_outgoing_connections() -> None:
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    found = ports.free()
    assert found.keys() == ports.DEFAULTS.keys()
    assert len(set(found.values())) == len(found)
    assert max(found.values()) < lowest_ephemeral
    ports.ensure_free(found, gateway_host="127.0.0.1")
