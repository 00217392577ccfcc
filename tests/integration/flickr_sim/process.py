"""A simulator as its own process on a free port."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

DEADLINE_SECONDS = 30


class SimulatorProcess:
    """`python -m flickr_sim`, started and awaited; `url` is where it listens."""

    def __init__(self, *, port: int, log: Path, settings: dict[str, str]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._settings = settings
        self._process = self._start()

    @property
    def most_memory(self) -> int:
        """The most memory the process has ever held, in bytes (`VmHWM`)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def restart(self) -> None:
        """Kill the process without warning and start another in its place."""
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)
        self._process = self._start()

    def stop(self) -> int:
        """Ask the process to stop; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def _start(self) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SIM_")}
        environment = {**kept, **self._settings, "SIM_HOST": "127.0.0.1", "SIM_PORT": str(self.port)}
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flickr_sim"], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._await_ready(process)
        return process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                if requests.get(f"{self.url}/health", timeout=2).json() == {"status": "ok"}:
                    return
            except requests.ConnectionError:
                time.sleep(0.02)  # a process that doesn't listen yet gives nothing to wait on
        process.kill()
        process.wait()
        raise AssertionError(f"the simulator did not get ready:\n{self._log.read_text()}")


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port
