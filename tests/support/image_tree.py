"""What an image holds, without a container engine: a virtual environment with what one lock names, and nothing else.

The distributions are copied out of the environment that the tests run in, where pip has checked their hashes; that the
locks name the same files is a test of its own (tests/unit/image/test_locks.py). Our own packages are built as wheels.
One copy serves all images: each has a folder of links to what it may know.
"""

import compileall
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tests.support.dockerfile import ROOT, SERVICES
from tests.support.lock_files import read_lock

UID = 1000
PACKAGES = ["libs/common", "libs/dlq", "libs/flickr_sim", *(f"services/{name}" for name in SERVICES[:-1])]
BUILD_WHEELS = """
import sys
from hatchling.builders.wheel import WheelBuilder
for folder in sys.argv[2:]:
    print(next(WheelBuilder(folder).build(directory=sys.argv[1], versions=["standard"])))
"""


def ours(service: str) -> list[str]:
    """The folders of our packages in an image."""
    return ["libs/flickr_sim"] if service == "flickr-sim" else ["libs/common", "libs/dlq", f"services/{service}"]


def as_other_user() -> dict[str, Any]:
    """For Popen: the image's user where we are root, otherwise nothing, which is ourselves."""
    return {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass(frozen=True)
class Store:
    """Everything that any image holds, once; readable by all and writable by nobody."""

    folder: Path
    interpreter: str
    contents: dict[str, list[str]]
    """Distribution or folder of our own -> its files, relative to ``site``."""

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def libraries(self) -> str:
        """Where a copied interpreter finds its own library, for LD_LIBRARY_PATH."""
        return str(self.folder / "python" / "lib")


@dataclass(frozen=True)
class Tree:
    """One image's file system, as far as it matters: `/opt/flickrhub`."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def packages(self) -> Path:
        return next((self.root / "lib").glob("python3.*/site-packages"))


def make_store(folder: Path) -> Store:
    """Copy what any of the locks names, build what is ours, and take the right to write away."""
    store = Store(folder, _interpreter(folder / "python"), {})
    for service in SERVICES:
        for name, locked in read_lock(service).items():
            if locked.wanted_here and name not in store.contents:
                store.contents[name] = _copy(name, locked.version, store.site)
    command = [sys.executable, "-c", BUILD_WHEELS, str(folder / "wheels"), *(str(ROOT / one) for one in PACKAGES)]
    wheels = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    for package, wheel in zip(PACKAGES, wheels, strict=True):
        store.contents[package] = _unpack(Path(wheel), store.site)
    shutil.copy(ROOT / "deploy" / "image" / "healthcheck.py", folder)
    _take_away_writing(folder)
    return store


def make_tree(store: Store, service: str) -> Tree:
    """The tree of one image: what its lock names, and those of our packages that the Dockerfile adds."""
    root = store.folder.parent / service
    subprocess.run([store.interpreter, "-m", "venv", "--without-pip", str(root)], check=True, timeout=30)
    tree = Tree(root)
    names = [name for name, locked in read_lock(service).items() if locked.wanted_here]
    _link(store, tree.packages, {file for name in names + ours(service) for file in store.contents[name]})
    (root / "healthcheck.py").symlink_to(store.folder / "healthcheck.py")
    _take_away_writing(root)
    return tree


def files(folder: Path) -> dict[str, int]:
    """Every path below a folder, with the time of its last change."""
    return {path: os.lstat(path).st_mtime_ns for path in _below(folder)}


def remove(folder: Path) -> None:
    """Take it away with all below it."""
    for inside, _, _ in os.walk(folder):
        os.chmod(inside, 0o700)
    shutil.rmtree(folder)


def _below(folder: Path) -> Iterator[str]:
    for inside, folders, names in os.walk(folder):
        yield inside
        yield from (f"{inside}/{name}" for name in folders + names)


def _link(store: Store, target: Path, wanted: set[str]) -> None:
    """Make ``target`` a view of the store: links to whole folders where all in them is wanted, else to each file."""
    unwanted = {file for names in store.contents.values() for file in names} - wanted
    mixed = {str(folder) for file in unwanted for folder in Path(file).parents} | {"."}
    linked: set[str] = set()
    for file in wanted:
        # The highest folder that holds nothing else, or the file itself.
        path = next(one for one in [*reversed(Path(file).parents), Path(file)] if str(one) not in mixed)
        if str(path) not in linked:
            linked.add(str(path))
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).symlink_to(store.site / path)


def _copy(name: str, version: str, into: Path) -> list[str]:
    found = distribution(name)
    assert found.version == version, f"{name} {version} is locked, {found.version} is installed"
    # Not its scripts in bin/, none of which an image starts. With what is compiled, as in an image.
    names = [str(file) for file in found.files or [] if file.parts[0] != ".."]
    copied = []
    for one in names:
        source, target = Path(str(found.locate_file(one))), into / one
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            copied.append(one)
    return copied


def _unpack(wheel: Path, into: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
        names = archive.namelist()
    for package in {name.partition("/")[0] for name in names if name.endswith(".py")}:
        compileall.compile_dir(into / package, quiet=2)
        names += [str(path.relative_to(into)) for path in (into / package).rglob("*.pyc")]
    return names


def _take_away_writing(folder: Path) -> None:
    for path in _below(folder):
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            os.chmod(path, 0o555 if stat.S_ISDIR(mode) or mode & 0o100 else 0o444)


def _interpreter(folder: Path) -> str:
    """A Python that the other user may execute: ours, or a copy of it when it lies in a home folder."""
    python = Path(os.path.realpath(sys.executable))
    if not as_other_user() or all(part.stat().st_mode & 0o001 for part in [python, *python.parents]):
        return str(python)
    library = f"lib/{python.name}"
    left_out = shutil.ignore_patterns("test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "config-*")
    shutil.copytree(Path(sys.base_prefix) / library, folder / library, ignore=left_out, symlinks=True)
    for shared in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
        shutil.copy2(shared, folder / "lib", follow_symlinks=False)
    (folder / "bin").mkdir()
    return str(shutil.copy2(python, folder / "bin" / python.name))
