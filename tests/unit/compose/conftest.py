"""The compose file as it is after `sh deploy/compose/secrets.sh`."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import compose_file
from tests.support.compose_file import ROOT


def make_secrets(folder: Path, env_file: Path) -> str:
    """Run the script; returns what it said."""
    command = ["sh", str(ROOT / "deploy" / "compose" / "secrets.sh"), str(folder)]
    ran = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "ENV_FILE": str(env_file)}, capture_output=True, text=True, check=True
    )
    return ran.stdout


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fresh secrets."""
    around = tmp_path_factory.mktemp("compose")
    make_secrets(around / "made", around / "env")
    return around / "made"


@pytest.fixture(scope="session")
def document(secrets: Path) -> dict[str, Any]:
    """The compose file with those secrets and nothing else set."""
    return compose_file.read({"FLICKRHUB_SECRETS": str(secrets)})


@pytest.fixture(scope="session")
def services(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    found: dict[str, dict[str, Any]] = document["services"]
    return found
