"""The run folder: where it is, and that nobody else's folder is touched."""

import os
from pathlib import Path

import pytest

from deploy.local.stack import down
from deploy.local.stack.errors import BadSetting
from deploy.local.stack.places import LONGEST_SOCKET_PATH, Places
from deploy.local.stack.supervise import Supervisor

ROOT = Path(__file__).resolve().parents[3]


def test_the_run_folder_is_dot_run_unless_run_dir_says_otherwise(tmp_path: Path) -> None:
    assert Places.from_environment({}).run == ROOT / ".run"
    assert Places.from_environment({"RUN_DIR": ".run-test"}).run == ROOT / ".run-test"
    assert Places.from_environment({"RUN_DIR": str(tmp_path)}).run == tmp_path


def test_a_folder_with_other_things_in_it_is_neither_used_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear", encoding="utf-8")
    places = Places(root=ROOT, run=tmp_path)
    with pytest.raises(BadSetting, match="isn't ours"):
        places.create()
    with pytest.raises(BadSetting, match="not removed"):
        places.forget()
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_run_folder_is_invisible_to_git_and_removed_whole(places: Places) -> None:
    assert (places.run / ".gitignore").read_text(encoding="utf-8").splitlines()[-1] == "*"
    places.forget()
    assert not places.run.exists()


def test_the_socket_moves_when_its_path_would_be_too_long(tmp_path: Path) -> None:
    deep = Places(root=ROOT, run=tmp_path / ("d" * 100))
    assert len(os.fsencode(deep.socket)) <= LONGEST_SOCKET_PATH
    other = Places(root=ROOT, run=tmp_path / ("e" * 100))
    assert deep.socket != other.socket


@pytest.mark.parametrize("folder", ["a per%cent ;semi #hash quo'te", "x" * 120])
def test_supervisor_starts_and_stops_in_any_folder(tmp_path: Path, folder: str) -> None:
    places = Places(root=ROOT, run=tmp_path / folder)
    places.create()
    supervisor = Supervisor(places)
    supervisor.configure([["epmd"]], stop_seconds={"epmd": 5})
    try:
        supervisor.start()
        assert [process.name for process in supervisor.processes().values()] == ["epmd"]
    finally:
        assert down.stop_everything(places)
    assert not supervisor.answers()
    assert not places.socket.exists()
