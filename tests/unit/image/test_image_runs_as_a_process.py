"""What each image would run, as a process: with its own lock alone, as another user, in a tree nobody can write."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.stack import ports
from tests.support import dockerfile, image_tree
from tests.support.dockerfile import SERVICES
from tests.support.image_tree import Store, Tree
from tests.support.waiting import eventually

SECRETS = {
    "RABBIT_URL": "amqp://nobody:there@127.0.0.1:9/",
    "MONGO_URL": "mongodb://127.0.0.1:9/?directConnection=true",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "INTERNAL_API_TOKEN": "i" * 16,
    "ENCRYPTION_KEYS": "k1:" + "A" * 43 + "=",
}


@dataclass(frozen=True)
class Container:
    """One image as a folder, and what is mounted into it."""

    service: str
    tree: Tree
    mounted: Path
    libraries: str

    def command(self) -> list[str]:
        """The image's ENTRYPOINT, with our interpreter for the image's."""
        return self._here(dockerfile.last(self.service, "ENTRYPOINT").exec_form())

    def health_check(self) -> list[str]:
        """The image's HEALTHCHECK."""
        return self._here(json.loads(dockerfile.last(self.service, "HEALTHCHECK").text.partition(" CMD ")[2]))

    def _here(self, command: list[str]) -> list[str]:
        return [word.replace("/opt/flickrhub", str(self.tree.root)) for word in command]

    def environment(self, port: int, metrics_port: int) -> dict[str, str]:
        """ENV of the image, the ports moved to free ones, secrets as files."""
        given = dockerfile.environment(self.service) | {"PATH": os.defpath, "HOME": "/nonexistent"}
        moved = {name: str(port) for name in given if name.endswith("PORT")}
        files = {f"{name}_FILE": str(self.mounted / name) for name in SECRETS}
        loopback = {"HOST": "127.0.0.1", "SIM_HOST": "127.0.0.1", "METRICS_PORT": str(metrics_port)}
        return given | moved | files | loopback | {"LD_LIBRARY_PATH": self.libraries}


@pytest.fixture
def store() -> Iterator[Store]:
    """What the images are made of, in a folder that every user may enter, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="flickrhub-image-"))
    folder.chmod(0o755)
    try:
        yield image_tree.make_store(folder / "store")
    finally:
        image_tree.remove(folder)


def container(store: Store, service: str) -> Container:
    mounted = store.folder.parent / f"secrets-{service}"
    mounted.mkdir()
    for name, value in SECRETS.items():
        (mounted / name).write_text(value + "\n", encoding="utf-8")
    return Container(service, image_tree.make_tree(store, service), mounted, store.libraries)


def no_file_can_be_written() -> None:
    """In the child: not a byte into any file, as near to a read-only file system as a test without an engine gets."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@asynccontextmanager
async def running(container: Container, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service, until the test is done with it; what it said is shown with a failure."""
    process = await asyncio.create_subprocess_exec(
        *container.command(),
        env=environment,
        cwd="/",
        **image_tree.as_other_user(),
        preexec_fn=no_file_can_be_written,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = asyncio.create_task(process.stdout.read())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        sys.stdout.write((await said).decode(errors="replace"))


async def healthy(container: Container, environment: dict[str, str], *arguments: str) -> bool:
    check = await asyncio.create_subprocess_exec(
        *container.health_check(), *arguments, env=environment, cwd="/", **image_tree.as_other_user()
    )
    return await check.wait() == 0


async def life(container: Container, port: int, metrics_port: int) -> None:
    """One service from its start to its end, asked in between as the image's health check asks."""
    environment = container.environment(port, metrics_port)
    assert not await healthy(container, environment), "nothing runs yet"
    async with running(container, environment) as process:

        async def listens() -> bool:
            if process.returncode is not None:
                pytest.fail(f"{container.service} ended")
            return await is_open(port)

        await eventually(listens, within=150, every=0.1, what=f"{container.service} listens")
        assert await healthy(container, environment), f"{container.service} isn't healthy"
        assert not await healthy(container, environment, "/health/ready"), f"{container.service}: no server is there"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0, container.service


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


# Five processes at once, beside others' tests and with less claim on the processors than those have.
@pytest.mark.timeout(300)
async def test_every_image_starts_is_healthy_and_stops_without_writing_a_file(store: Store) -> None:
    containers = [container(store, service) for service in SERVICES]
    before = image_tree.files(store.folder.parent)
    free = iter(ports.free().values())
    async with asyncio.TaskGroup() as together:
        for one in containers:
            together.create_task(life(one, next(free), next(free)))
    assert image_tree.files(store.folder.parent) == before
