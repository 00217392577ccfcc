"""Each image's lock: that service's dependencies, all of them and nothing else, as they were tested."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.dockerfile import ROOT, SERVICES
from tests.support.image_tree import ours
from tests.support.lock_files import read_lock

OUR_DISTRIBUTIONS = {"flickrhub-common"}
OUR_MODULES = ("flickrhub_", "flickr_sim")


def declared(service: str) -> set[str]:
    """What a service's packages ask for by themselves."""
    names: set[str] = set()
    for folder in ours(service):
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        names |= {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    return names - OUR_DISTRIBUTIONS


def needed(names: set[str]) -> set[str]:
    """These distributions and all that they require on this machine."""
    found: set[str] = set()
    ahead: list[tuple[str, str]] = [(name, "") for name in names]
    seen = set()
    while ahead:
        name, extra = ahead.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for requirement in map(Requirement, distribution(name).requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                ahead += [(canonicalize_name(requirement.name), one) for one in {"", *requirement.extras}]
    return found


@cache
def files_of(name: str) -> frozenset[str]:
    """Where a distribution's files lie, each also without what follows the first dot of its name."""
    return frozenset(str(file.with_name(file.name.partition(".")[0])) for file in distribution(name).files or [])


@cache
def imported(folder: str) -> frozenset[tuple[str, str]]:
    """Every module of others that the code in a folder of ours names, wherever in a file, and what is taken from it."""
    names: set[tuple[str, str]] = set()
    for path in (ROOT / folder / "src").rglob("*.py"):
        if "testing" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    names |= {(node.module or "", one.name) for one in node.names}
                elif isinstance(node, ast.Import):
                    names |= {(one.name, "") for one in node.names}
    theirs = {one for one in names if one[0].partition(".")[0] not in sys.stdlib_module_names}
    return frozenset(one for one in theirs if not one[0].startswith(OUR_MODULES))


@pytest.mark.parametrize("service", SERVICES)
def test_whatever_a_service_imports_is_in_its_lock(service: str) -> None:
    there = {file for name, locked in read_lock(service).items() if locked.wanted_here for file in files_of(name)}
    wanted = {one for folder in ours(service) for one in imported(folder)}
    assert len(wanted) > 10
    for module, name in wanted:
        path = module.replace(".", "/")
        # `from opentelemetry import trace` takes a module from a folder that is no module itself.
        assert {path, f"{path}/__init__", f"{path}/{name}", f"{path}/{name}/__init__"} & there, module


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_installs_what_its_service_needs_and_nothing_else(service: str) -> None:
    assert {name for name, locked in read_lock(service).items() if locked.wanted_here} == needed(declared(service))


@pytest.mark.parametrize("lock", [*SERVICES, "build"])
def test_an_image_installs_the_very_files_that_were_tested(lock: str) -> None:
    tested = read_lock("dev")
    for name, locked in read_lock(lock).items():
        assert locked.hashes, f"{name} has no hash"
        assert (locked.version, locked.hashes) == (tested[name].version, tested[name].hashes), name
        if locked.wanted_here:
            assert distribution(name).version == locked.version


@pytest.mark.parametrize("lock", [*SERVICES, "build"])
def test_a_lock_names_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--find-links|--extra|^-", text, re.MULTILINE)
