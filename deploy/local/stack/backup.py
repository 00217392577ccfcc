"""`backup` and `restore`: MongoDB and the key ring of a running stack into a folder, and back.

What is in RabbitMQ and Redis isn't part of it, and needn't be: docs/deploy.md says what becomes of it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.local.stack import credentials, envfile, mongo_files, readiness
from deploy.local.stack.errors import CannotStart, NotReady
from deploy.local.stack.lock import exclusive
from deploy.local.stack.mongo_files import Found
from deploy.local.stack.places import Places, write_private
from deploy.local.stack.plan import SERVICES, Plan, needs
from deploy.local.stack.rotate import VARIABLE, give
from deploy.local.stack.screen import say, step
from deploy.local.stack.stopping import tier_seconds
from deploy.local.stack.supervise import Supervisor
from flickrhub_common.sealing import KeyRing

DATABASE = "flickrhub"
KEYS = "keys"
MANIFEST = "backup.json"
"""Written last: a folder without it isn't a whole backup."""
RESUMED: dict[str, list[Any]] = {
    "jobs": [
        {"state": {"$in": ["queued", "retrying"]}},
        {"$set": {"state": "queued", "published_at": None}, "$unset": {"claimed_until": ""}},
    ],
    "deliveries": [
        {"state": "pending", "line": {"$exists": False}},
        [{"$set": {"line": "restored", "line_at": "$next_attempt_at"}}],
    ],
}
"""What is open, and the update that has it go on: the gateway sweeps what was never published, and the notifier finds
every line, whatever its name. docs/backup.md says the same for mongosh."""


def backup(places: Places, folder: Path) -> None:
    """Write a backup into a new folder, while everything runs. Raises CannotStart with the one line to show.

    No rotation of keys can run meanwhile, so the ring is that of the data.
    """
    with _running(places) as plan, _database(plan) as database:
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise CannotStart(f"{folder} can't be made as a new folder ({type(error).__name__})") from error
        with mongo_files.private_file(folder / KEYS) as file:
            file.write(plan.exported[VARIABLE].encode())
        with step("Writing MongoDB's documents"):
            counts = mongo_files.dump(database, folder)
        made = {"made_at": datetime.now(UTC).isoformat(), "database": database.name, "documents": counts}
        write_private(folder / MANIFEST, json.dumps(made, indent=2))
    say(f"{sum(counts.values())} documents of {len(counts)} collections and the key ring are in {folder}/.")
    say(f"Whoever has both has every secret: keep {folder / KEYS} somewhere else than the rest.")


def restore(places: Places, folder: Path, *, drop: bool, rabbitmq_lost: bool) -> None:
    """Put a backup back, while the services are stopped. Raises CannotStart with the one line to show.

    ``drop``: what is in the database goes. ``rabbitmq_lost``: messages of open jobs and callbacks are made anew.
    """
    ring = kept_ring(folder)
    with _running(places) as plan, _database(plan) as database:
        occupied = [] if drop else mongo_files.occupied(database, folder)
        if occupied:
            raise CannotStart(f"there are documents in {', '.join(occupied)}: --drop replaces them")
        restore_ring(places, plan, ring)
        _stop_services(places, plan)
        with step("Restoring MongoDB's documents"):
            if drop:
                database.client.drop_database(database.name)
            counts = mongo_files.load(database, folder)
        if rabbitmq_lost:
            resume(database)
        _start_services(places, plan)
    say(f"{sum(counts.values())} documents of {len(counts)} collections and the key ring are restored.")


def kept_ring(folder: Path) -> str:
    """The key ring of a whole backup. Raises CannotStart if anything of the backup is missing or damaged.

    All of it is read before anything is stopped or dropped: what can't be restored mustn't cost what is there.
    """
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ring = ",".join(part.strip() for part in (folder / KEYS).read_text(encoding="ascii").split(",") if part.strip())
        KeyRing.parse(ring)
        whole = mongo_files.counted(folder) == made["documents"]
    except FileNotFoundError as error:
        raise CannotStart(f"{folder} holds no whole backup: there is no {Path(error.filename).name}") from None
    except (OSError, ValueError, KeyError, TypeError, mongo_files.Incomplete) as error:
        # Not what was wrong: a file of keys may be what couldn't be read.
        raise CannotStart(f"{folder} holds no whole backup ({type(error).__name__})") from None
    if not whole:
        raise CannotStart(f"{folder} holds no whole backup: documents are missing")
    return ring


def resume(database: Found) -> None:
    """Have whatever is open go on though RabbitMQ has lost its messages: the services make them anew.

    Where a message is there all the same, the second one has no effect.
    """
    for name, (which, change) in RESUMED.items():
        database[name].update_many(which, change)


def joined(current: str, kept: str) -> str:
    """A ring that opens what both open: the current one, then the keys it lacks.

    Where an id has two keys, the backup's counts: what is restored needs it.
    """
    ours, theirs = (dict(key.split(":", 1) for key in ring.split(",")) for ring in (current, kept))
    return ",".join(f"{key}:{value}" for key, value in (ours | theirs).items())


@contextmanager
def _running(places: Places) -> Iterator[Plan]:
    if not places.is_ours() or not Supervisor(places).answers():
        raise CannotStart("the stack isn't running: run make up first")
    with exclusive(places):
        yield Plan.load(places.plan_file)


@contextmanager
def _database(plan: Plan) -> Iterator[Found]:
    try:
        with MongoClient[dict[str, Any]](plan.exported["MONGO_URL"], serverSelectionTimeoutMS=5000) as client:
            yield client[plan.settings.get("MONGO_DB", DATABASE)]
    except (PyMongoError, mongo_files.Incomplete) as error:
        raise CannotStart(f"MongoDB's documents: {type(error).__name__}") from error


def _stop_services(places: Places, plan: Plan) -> None:
    with step("Stopping the services"):
        if not Supervisor(places).end(SERVICES, seconds=tier_seconds([*SERVICES], plan)):
            raise NotReady(SERVICES[0], "the services don't stop")


def _start_services(places: Places, plan: Plan) -> None:
    supervisor = Supervisor(places)
    with step("Starting the services"):
        supervisor.begin(SERVICES)
        readiness.wait_ready(SERVICES, plan, supervisor)


def restore_ring(places: Places, plan: Plan, kept: str) -> None:
    """Have the services start with a ring that opens what was kept. Raises CannotStart if it is the caller's own."""
    ring = joined(plan.exported[VARIABLE], kept)
    if ring == plan.exported[VARIABLE]:
        return
    if VARIABLE in plan.settings:
        raise CannotStart(f"{VARIABLE} is the caller's own and lacks keys of the backup: add them and run make up")
    known = credentials.load_or_make(places.secrets_file)
    credentials.save(replace(known, encryption_keys=ring), places.secrets_file)
    plan.exported[VARIABLE] = ring
    plan.save(places.plan_file)
    for name in SERVICES:
        if VARIABLE in needs(name):
            give(places.programs / f"{name}.json", ring)
    envfile.write(places.env_file, plan.exported)
