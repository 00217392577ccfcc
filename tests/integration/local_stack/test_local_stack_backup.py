"""What a backup holds, and what becomes of the key ring."""

import io
import json
import re
from pathlib import Path

import bson
import pytest

from deploy.local.stack import credentials
from deploy.local.stack.backup import RESUMED, joined, kept_ring, restore, restore_ring
from deploy.local.stack.errors import CannotStart
from deploy.local.stack.mongo_files import BATCH_DOCUMENTS, Incomplete, in_batches, private_file
from deploy.local.stack.places import Places, write_private
from deploy.local.stack.plan import SERVICES, Plan, needs
from tests.support.run_env import ROOT


@pytest.mark.parametrize(
    ("current", "kept", "ring"),
    [
        ("local1:a", "local1:a", "local1:a"),
        ("local2:b", "local1:a", "local2:b,local1:a"),
        ("local2:b,local1:a", "local1:a", "local2:b,local1:a"),
        ("local1:fresh", "local1:a", "local1:a"),
        ("local1:fresh", "local2:b,local1:a", "local1:a,local2:b"),
    ],
)
def test_a_ring_opens_what_is_restored_and_where_it_can_what_is_there(current: str, kept: str, ring: str) -> None:
    assert joined(current, kept) == ring


def test_documents_are_read_in_batches_in_their_order() -> None:
    file = io.BytesIO(b"".join(bson.encode({"_id": n}) for n in range(BATCH_DOCUMENTS + 1)))
    first, second = in_batches(file)
    assert [each["_id"] for each in (*first, *second)] == list(range(BATCH_DOCUMENTS + 1))
    assert len(first) == BATCH_DOCUMENTS


@pytest.mark.parametrize("cut", [1, 3, 4, 10])
def test_a_file_that_ends_within_a_document_is_refused(cut: int) -> None:
    whole = bson.encode({"_id": 1, "text": "t"})
    with pytest.raises(Incomplete):
        list(in_batches(io.BytesIO(whole + whole[:cut])))


def test_no_document_is_as_large_as_nonsense_says() -> None:
    with pytest.raises(Incomplete):
        list(in_batches(io.BytesIO(b"\xff\xff\xff\x7fnonsense")))


def test_a_file_of_a_backup_is_its_owners_alone_and_never_replaces_another(tmp_path: Path) -> None:
    private_file(tmp_path / "keys").close()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        private_file(tmp_path / "keys")


def test_the_docs_have_mongosh_do_what_restore_does() -> None:
    text = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
    found = re.findall(r"hub\.(\w+)\.updateMany\((.*?)\)[;']", text, re.DOTALL)
    quoted = {name: re.sub(r"(?<=[{ ])(\$?\w+):", r'"\1":', arguments) for name, arguments in found}
    assert {name: json.loads(f"[{arguments}]") for name, arguments in quoted.items()} == RESUMED


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A run folder in which the programs of all services are written."""
    found = Places(root=tmp_path, run=tmp_path / ".run")
    found.create()
    for name in SERVICES:
        write_private(found.programs / f"{name}.json", json.dumps({"env": dict.fromkeys(needs(name), "old")}))
    return found


def test_a_restored_key_reaches_whoever_holds_the_ring_and_nobody_else(places: Places) -> None:
    plan = Plan(ports={}, exported={"ENCRYPTION_KEYS": "local2:b"}, settings={}, tiers=[])
    restore_ring(places, plan, "local1:a")
    ring = "local2:b,local1:a"
    assert credentials.load_or_make(places.secrets_file).encryption_keys == ring
    assert Plan.load(places.plan_file).exported["ENCRYPTION_KEYS"] == ring
    assert f"ENCRYPTION_KEYS={ring}" in places.env_file.read_text().replace("'", "")
    given = {name: json.loads((places.programs / f"{name}.json").read_text())["env"] for name in SERVICES}
    assert {name for name, env in given.items() if env.get("ENCRYPTION_KEYS") == ring} == {
        "auth",
        "gateway",
        "notifier",
    }
    assert not any("ENCRYPTION_KEYS" in given[name] for name in SERVICES if name.startswith("executor"))


def test_a_ring_of_the_callers_own_isnt_changed(places: Places) -> None:
    mine = {"ENCRYPTION_KEYS": "mine:m"}
    plan = Plan(ports={}, exported=dict(mine), settings=dict(mine), tiers=[])
    restore_ring(places, plan, "mine:m")
    with pytest.raises(CannotStart, match="lacks keys of the backup"):
        restore_ring(places, plan, "local1:a")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backup as it is written, of two jobs."""
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "keys").write_text(f"{KEY}\n")
    (folder / "jobs.bson").write_bytes(bson.encode({"_id": 1}) + bson.encode({"_id": 2}))
    (folder / "jobs.metadata.json").write_text(json.dumps({"indexes": []}))
    (folder / "backup.json").write_text(json.dumps({"documents": {"jobs": 2}}))
    return folder


KEY = "local1:" + "a" * 43 + "="


def test_the_ring_of_a_whole_backup_is_read_as_it_was_moved_away_and_back(folder: Path) -> None:
    assert kept_ring(folder) == KEY


@pytest.mark.parametrize("name", ["keys", "jobs.bson", "jobs.metadata.json", "backup.json"])
def test_a_backup_of_which_a_file_is_missing_or_cut_is_refused_before_anything_is_touched(
    places: Places, folder: Path, name: str
) -> None:
    content = (folder / name).read_bytes()
    for spoilt in (content[: len(content) // 2], b"", None):
        (folder / name).unlink()
        if spoilt is not None:
            (folder / name).write_bytes(spoilt)
        with pytest.raises(CannotStart, match="holds no whole backup") as refused:
            restore(places, folder, drop=True, rabbitmq_lost=False)
        assert "aaa" not in str(refused.value)
        (folder / name).write_bytes(content)
