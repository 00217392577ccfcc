"""bootstrap.sh in a small repository of its own: what it looks for, what it says, that it does nothing twice."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = [
    *("libs/common", "libs/flickr_sim", "libs/dlq"),
    *("services/gateway", "services/auth", "services/executor", "services/notifier"),
]
COMMANDS = ("sh", "cat", "cut", "dirname", "flock", "grep", "id", "mktemp", "rm", "sed", "sha256sum", "tail", "env")
# Stands in for pip: notes what it was asked, and fails when told to.
PIP = """\
import os, sys
with open(os.environ["PIP_CALLS"], "a") as calls:
    print(*sys.argv[1:], file=calls)
if "PIP_FAILS" in os.environ:
    sys.exit("could not reach https://packages.invalid/simple/x")
"""
# With nothing of the machine on the PATH, only RabbitMQ's absolute path can be found.
HAS_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists()


@dataclass
class Checkout:
    """A repository with bootstrap.sh, a lock file, empty packages, and a .venv whose pip is a stand-in."""

    root: Path
    bin: Path

    def bootstrap(self, what: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "PIP_CALLS": str(self.root / "pip-calls"), **environ}
        command = [str(self.root / "deploy/local/bootstrap.sh"), what]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def pip_calls(self) -> list[str]:
        calls = self.root / "pip-calls"
        return calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []

    def add_command(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (self.bin / name).chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "a checkout"
    (root / "deploy/local").mkdir(parents=True)
    shutil.copy(ROOT / "deploy/local/bootstrap.sh", root / "deploy/local")
    (root / "requirements").mkdir()
    (root / "requirements/dev.txt").write_text("thing==1 --hash=sha256:0\n", encoding="utf-8")
    (root / "requirements/kubectl.txt").write_text("kubectl==1 --hash=sha256:0\n", encoding="utf-8")
    for package in PACKAGES:
        (root / package).mkdir(parents=True)
        (root / package / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (root / f".venv/lib/{version}/site-packages/pip.py").write_text(PIP, encoding="utf-8")
    found = Checkout(root=root, bin=tmp_path / "bin")
    found.bin.mkdir()
    for name in COMMANDS:
        (found.bin / name).symlink_to(shutil.which(name) or name)
    return found


def test_everything_is_installed_once_and_with_hashes(checkout: Checkout) -> None:
    first = checkout.bootstrap("python")
    assert (first.returncode, first.stderr) == (0, "")
    requirements, packages = checkout.pip_calls()
    assert "--require-hashes" in requirements
    assert packages.endswith(" ".join(f"-e ./{package}" for package in PACKAGES))
    assert "--no-deps --no-build-isolation" in packages

    second = checkout.bootstrap("python")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len(checkout.pip_calls()) == 2


def test_a_changed_lock_file_is_installed_again_and_nothing_else(checkout: Checkout) -> None:
    checkout.bootstrap("python")
    (checkout.root / "requirements/dev.txt").write_text("thing==2 --hash=sha256:0\n", encoding="utf-8")
    assert "requirements/dev.txt" in checkout.bootstrap("python").stdout
    assert ["-r" in call for call in checkout.pip_calls()] == [True, False, True]


def test_an_installation_that_failed_is_told_and_tried_again(checkout: Checkout) -> None:
    failed = checkout.bootstrap("python", PIP_FAILS="yes")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "Error: the Python packages can't be installed"
    assert "packages.invalid" not in failed.stderr
    assert checkout.bootstrap("python").returncode == 0
    assert len(checkout.pip_calls()) == 3


def test_a_virtual_environment_that_was_moved_is_made_again(checkout: Checkout, tmp_path: Path) -> None:
    checkout.bootstrap("python")
    moved = Checkout(root=tmp_path / "elsewhere", bin=checkout.bin)
    checkout.root.rename(moved.root)
    (moved.bin / "python3").symlink_to(sys.executable)
    marker = moved.root / ".venv/old"
    marker.touch()
    # The new environment has a real pip, and the lock file names nothing it could install.
    assert "Making the virtual environment" in moved.bootstrap("python").stdout
    assert not marker.exists()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "Redis is needed: install the package redis-server, or set REDIS_URL"),
        ({"REDIS_URL": "redis://x"}, "MongoDB is needed: put a mongod (6.0 or newer) that runs here on the PATH"),
        ({"REDIS_URL_FILE": "/x"}, "MongoDB is needed: put a mongod (6.0 or newer) that runs here on the PATH"),
    ],
)
def test_what_cannot_be_installed_is_named_in_one_line(checkout: Checkout, given: dict[str, str], line: str) -> None:
    if not HAS_RABBITMQ:
        given = given | {"RABBIT_URL": "amqp://x"}
    without_sbin_redis = checkout.bootstrap("servers", **given)
    assert without_sbin_redis.returncode == 1
    assert len(without_sbin_redis.stderr.splitlines()) == 1
    assert without_sbin_redis.stderr.startswith(f"Error: {line}")


def test_given_servers_need_nothing_installed(checkout: Checkout) -> None:
    given = {"RABBIT_URL": "amqp://x", "REDIS_URL": "redis://x", "MONGO_URL": "mongodb://x"}
    assert checkout.bootstrap("servers", **given).returncode == 0


def test_without_root_and_sudo_apt_is_not_even_tried(checkout: Checkout) -> None:
    checkout.add_command("apt-get", f'echo called >>"{checkout.root}/apt-calls"')
    (checkout.bin / "id").unlink()
    checkout.add_command("id", "echo 1000")
    failed = checkout.bootstrap("servers", RABBIT_URL="amqp://x")
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert not (checkout.root / "apt-calls").exists()


def test_a_kubectl_that_renders_is_left_alone(checkout: Checkout) -> None:
    checkout.add_command(
        "kubectl", 'test "$*" = "kustomize $(cd "$(dirname "$0")/.." && pwd)/a checkout/deploy/k8s/base"'
    )
    (checkout.bin / "pwd").symlink_to(shutil.which("pwd") or "pwd")
    assert checkout.bootstrap("kubectl").returncode == 0
    assert len(checkout.pip_calls()) == 2


@pytest.mark.parametrize("there", [None, "exit 1"], ids=["none", "too-old"])
def test_without_a_kubectl_that_renders_one_is_installed_once(checkout: Checkout, there: str | None) -> None:
    if there:
        checkout.add_command("kubectl", there)
    checkout.bootstrap("python")
    failed = checkout.bootstrap("kubectl", PIP_FAILS="yes")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("Error: kubectl 1.24 or newer is needed")
    assert checkout.bootstrap("kubectl").returncode == 0
    assert checkout.bootstrap("kubectl").stdout == ""
    asked = [call for call in checkout.pip_calls() if "kubectl.txt" in call]
    assert ["--require-hashes" in call for call in asked] == [True, True]


# Stand in for apt-get, which downloads when told to, and for dpkg, which unpacks two programs.
APT_GET = 'test -n "$HAS_PACKAGES" || exit 100; echo >prometheus_2_amd64.deb'
DPKG = (
    'mkdir -p "$3/usr/bin"; for name in prometheus promtool; do cp "$0" "$3/usr/bin/$name"; done; echo "$@" >>"$CALLS"'
)


def test_prometheus_is_unpacked_once(checkout: Checkout) -> None:
    for name in ("mkdir", "cp"):
        (checkout.bin / name).symlink_to(shutil.which(name) or name)
    without_apt = checkout.bootstrap("prometheus")
    assert without_apt.stderr == "Error: Prometheus is needed: put prometheus and promtool on the PATH\n"
    checkout.add_command("apt-get", APT_GET)
    checkout.add_command("dpkg", DPKG)
    calls = checkout.root / "calls"
    assert checkout.bootstrap("prometheus", CALLS=str(calls)).returncode == 1
    first, second = (checkout.bootstrap("prometheus", HAS_PACKAGES="yes", CALLS=str(calls)) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stdout) == (0, "")
    assert calls.read_text(encoding="utf-8") == f"-x prometheus_2_amd64.deb {checkout.root}/.venv/prometheus\n"


def test_a_prometheus_on_the_path_is_left_alone(checkout: Checkout) -> None:
    checkout.add_command("prometheus", "exit 0")
    checkout.add_command("promtool", "exit 0")
    checkout.bootstrap("python")
    found = checkout.bootstrap("prometheus")
    assert (found.returncode, found.stdout) == (0, "")
    assert not (checkout.root / ".venv/prometheus").exists()


def test_the_stamps_are_of_the_files_content(checkout: Checkout) -> None:
    checkout.bootstrap("python")
    content = (checkout.root / "requirements/dev.txt").read_bytes()
    stamp = (checkout.root / ".venv/requirements.stamp").read_text(encoding="utf-8").strip()
    assert stamp == hashlib.sha256(content).hexdigest()
    assert os.access(checkout.root / "deploy/local/bootstrap.sh", os.X_OK)
