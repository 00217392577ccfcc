"""The secrets of the compose file: made at random, once, belonging together, readable by containers alone."""

import stat
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from flickrhub_common.sealing import KeyRing
from tests.support import compose_file
from tests.support.compose_file import NotSet
from tests.unit.compose.conftest import make_secrets


def said(secrets: Path, name: str) -> str:
    return (secrets / name).read_text(encoding="utf-8").strip()


def test_without_secrets_the_file_says_how_to_make_them() -> None:
    with pytest.raises(NotSet, match=r"^FLICKRHUB_SECRETS: make them first: sh deploy/compose/secrets\.sh$"):
        compose_file.read({})


def test_every_secret_is_a_file_that_the_script_makes(document: dict[str, Any], secrets: Path) -> None:
    assert {one["file"] for one in document["secrets"].values()} == {str(path) for path in secrets.iterdir()}
    asked = "${FLICKRHUB_SECRETS:?make them first: sh deploy/compose/secrets.sh}"
    raw = compose_file.raw()["secrets"]
    assert raw == {name: {"file": f"{asked}/{name}"} for name in raw}, "no default, and no kind but files"


def test_clients_have_the_passwords_of_their_servers(secrets: Path) -> None:
    rabbit, mongo, redis = (URL(said(secrets, f"{name}_url")) for name in ("rabbit", "mongo", "redis"))
    assert said(secrets, "rabbitmq_conf").split() == [
        *("default_user", "=", rabbit.user),
        *("default_pass", "=", rabbit.password),
    ]
    assert said(secrets, "mongo_password") == mongo.password
    assert said(secrets, "redis_password") == redis.password
    assert said(secrets, "redis_conf") == f"requirepass {redis.password}"
    assert (rabbit.host, mongo.host, redis.host) == ("rabbitmq", "mongo", "redis")


def test_each_is_long_and_random(secrets: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path / "others", tmp_path / "env")
    for path in secrets.iterdir():
        assert said(secrets, path.name) != said(tmp_path / "others", path.name)
        assert len(said(secrets, path.name)) >= 32
    assert len(KeyRing.parse(said(secrets, "encryption_keys")).keys) == 1


def test_only_the_folder_keeps_others_out_as_containers_read_as_other_users(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o444}


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    folder, env_file = tmp_path / "made", tmp_path / "env"
    env_file.write_text("LOG_LEVEL=DEBUG\n", encoding="utf-8")
    make_secrets(folder, env_file)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert "nothing changed" in make_secrets(folder, env_file)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert env_file.read_text(encoding="utf-8") == f"LOG_LEVEL=DEBUG\nFLICKRHUB_SECRETS={folder}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env", "made"]


def test_a_last_line_without_an_end_stays_a_line_of_its_own(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("LOG_LEVEL=DEBUG", encoding="utf-8")
    make_secrets(tmp_path / "made", env_file)
    assert env_file.read_text(encoding="utf-8").splitlines() == [
        "LOG_LEVEL=DEBUG",
        f"FLICKRHUB_SECRETS={tmp_path / 'made'}",
    ]


def test_a_folder_is_found_from_wherever_compose_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_secrets(Path("made"), tmp_path / "env")
    assert (tmp_path / "env").read_text(encoding="utf-8") == f"FLICKRHUB_SECRETS={tmp_path / 'made'}\n"
