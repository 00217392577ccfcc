"""What the Dockerfile promises: pinned, hashed, without root, without a shell, and the command that is tested."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from pydantic_settings import BaseSettings

from deploy.local.stack import plan, ports, programs
from deploy.local.stack.credentials import Credentials
from deploy.local.stack.places import Places
from deploy.local.stack.service_settings import SETTINGS
from tests.support import dockerfile
from tests.support.dockerfile import ROOT, SERVICES, Instruction

COPIED = [
    pytest.param(service, source.replace("${SERVICE}", service), id=f"{service}-{source}")
    for service in SERVICES
    for stage in dockerfile.read()
    for one in stage.instructions
    if one.name == "COPY" and one.option("from") is None
    for source in one.words()[:-1]
]


def sent_to_the_builder(path: str) -> bool:
    """Whether .dockerignore lets a file through; the last pattern that matches it, or a folder of it, decides."""
    names = [path, *(str(parent) for parent in Path(path).parents)][:-1]
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if not line.startswith("#") and any(_matches(name, pattern) for name in names):
            sent = line.startswith("!")
    return sent


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(name.rpartition("/")[2], pattern[3:])
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def local_command(tmp_path: Path, process: str) -> list[str]:
    """What the local stack runs for a process."""
    credentials = Credentials("n@localhost", "r", "c", "d", "t" * 16, "k1:x")
    made = plan.make({}, credentials, all_ports=dict(ports.DEFAULTS))
    return programs._service(process, made, Places(root=ROOT, run=tmp_path), {}).argv


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_runs_the_command_that_the_local_stack_runs(service: str, tmp_path: Path) -> None:
    process = "executor-rest" if service == "executor" else service
    python, *arguments = dockerfile.last(service, "ENTRYPOINT").exec_form()
    assert arguments == local_command(tmp_path, process)[1:]
    assert python == "/opt/flickrhub/bin/python"


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_of_the_build_is_in_the_image_but_the_virtual_environment(service: str) -> None:
    copies = [one for one in dockerfile.image(service) if one.name == "COPY"]
    assert [one.words() for one in copies if one.option("from")] == [["/opt/flickrhub", "/opt/flickrhub"]]
    assert not [one for one in copies if one.option("chown")], "whoever runs it doesn't own it"
    assert not [one for one in dockerfile.image(service) if one.name == "RUN" and re.search(r"\bpip\b|apt", one.text)]


@pytest.mark.parametrize("service", SERVICES)
def test_it_runs_as_user_1000_and_nothing_is_done_as_that_user(service: str) -> None:
    made = dockerfile.image(service)
    user = [one for one in made if one.name == "USER"]
    assert [one.text for one in user] == ["1000:1000"], "in numbers, for Kubernetes' runAsNonRoot"
    assert not [one for one in made[made.index(user[0]) :] if one.name in ("RUN", "COPY")]


@pytest.mark.parametrize("service", SERVICES)
def test_no_shell_is_needed_at_run_time(service: str) -> None:
    check = dockerfile.last(service, "HEALTHCHECK").text
    command = Instruction("CMD", check.partition(" CMD ")[2]).exec_form()
    assert command == ["/opt/flickrhub/bin/python", "-I", "-S", "/opt/flickrhub/healthcheck.py"]
    assert dockerfile.last(service, "ENTRYPOINT").exec_form()
    assert not [one for one in dockerfile.image(service) if one.name == "CMD"]


@pytest.mark.parametrize("service", SERVICES)
def test_operators_tools_are_found_and_a_stop_is_asked_for(service: str) -> None:
    assert dockerfile.environment(service)["PATH"].startswith("/opt/flickrhub/bin:")
    assert dockerfile.last(service, "STOPSIGNAL").text == "SIGTERM"


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_written_beside_the_code(service: str) -> None:
    assert dockerfile.environment(service)["PYTHONDONTWRITEBYTECODE"] == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_the_port_is_the_services_own(service: str) -> None:
    settings: type[BaseSettings] = SETTINGS[service.partition("-")[0]]
    port = str(settings.model_fields["port"].default)
    given = dockerfile.environment(service)
    prefix = str(settings.model_config.get("env_prefix", ""))
    assert given[f"{prefix}PORT"] == port
    metrics = [str(settings.model_fields[name].default) for name in ("metrics_port",) if name in settings.model_fields]
    assert dockerfile.last(service, "EXPOSE").words() == [port, *metrics]


def test_the_simulator_in_an_image_listens_to_other_containers() -> None:
    assert dockerfile.environment("flickr-sim")["SIM_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_says_what_it_is(service: str) -> None:
    labels = " ".join(one.text for one in dockerfile.image(service) if one.name == "LABEL")
    keys = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", labels))
    assert keys >= {"title", "description", "licenses", "version", "revision", "created", "base.name"}
    bases = [stage.base for stage in dockerfile.read() if stage.name == "python"]
    assert f'image.base.name="docker.io/library/{bases[0]}"' in labels


def test_the_version_is_that_of_the_packages() -> None:
    given = [one.text for one in dockerfile.image("gateway") if one.text.startswith("VERSION=")]
    for path in [*ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("libs/*/pyproject.toml")]:
        assert given == [f"VERSION={tomllib.loads(path.read_text(encoding='utf-8'))['project']['version']}"]


def test_the_base_is_pinned_and_a_python_that_our_packages_take() -> None:
    stages = dockerfile.read()[1:]
    (base,) = {stage.base for stage in stages} - {stage.name for stage in stages} - {"service-${SERVICE}"}
    pinned = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-[a-z]+", base)
    assert pinned
    project = tomllib.loads((ROOT / "libs/common/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert pinned[1] in SpecifierSet(project["requires-python"])


def test_pip_installs_hashed_wheels_or_what_it_just_built() -> None:
    commands = [
        command
        for stage in dockerfile.read()
        for one in stage.instructions
        if one.name == "RUN"
        for command in one.text.split("&&")
        if re.search(r"pip\b.* (install|wheel) ", command)
    ]
    assert len(commands) == 4
    for command in commands:
        hashed = "--require-hashes --only-binary :all:" in command
        assert hashed or "--no-deps --no-index" in command, command


def test_nothing_comes_from_an_address() -> None:
    for stage in dockerfile.read():
        for one in stage.instructions:
            assert one.name != "ADD"
            assert not re.search(r"curl|wget|https?://|\bgit\b", one.text)


@pytest.mark.parametrize(("service", "source"), COPIED)
def test_what_is_copied_exists_and_reaches_the_builder(service: str, source: str) -> None:
    path = ROOT / source
    files = list(path.rglob("*.py")) if path.is_dir() else [path]
    assert files
    assert all(file.is_file() for file in files)
    assert all(sent_to_the_builder(str(file.relative_to(ROOT))) for file in files), service


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".secrets/encryption_keys",
        ".git/config",
        ".venv/bin/python",
        ".run/env",
        ".run-test/secrets.json",
        "tests/conftest.py",
        "docs/secrets.md",
        "deploy/compose/redis.conf",
        "libs/common/src/flickrhub_common/__pycache__/settings.cpython-311.pyc",
    ],
)
def test_no_secret_and_no_history_reaches_the_builder(path: str) -> None:
    assert not sent_to_the_builder(path)
