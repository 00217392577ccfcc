"""MongoDB as the local stack runs it: a replica set of one, so that transactions and change streams work."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.stack.places import Places, write_private

SET_NAME = "rs0"
NOT_YET_INITIALIZED = 94
INVALID_REPLICA_SET_CONFIG = 93  # the stored configuration names another port than the one in use now


def configure(ports: Mapping[str, int], places: Places, *, compressor: str = "snappy") -> Path:
    """Write mongod's configuration (JSON is YAML too) and return its path."""
    folder = places.data / "mongo"
    (folder / "db").mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration: dict[str, Any] = {
        # Its socket file would lie in /tmp otherwise.
        "net": {"bindIp": "127.0.0.1", "port": ports["MONGO_PORT"], "unixDomainSocket": {"enabled": False}},
        "storage": {
            "dbPath": str(folder / "db"),
            "wiredTiger": {
                "engineConfig": {"cacheSizeGB": 1, "journalCompressor": compressor},
                "collectionConfig": {"blockCompressor": compressor},
            },
        },
        "replication": {"replSetName": SET_NAME, "oplogSizeMB": 512},
        "setParameter": {"diagnosticDataCollectionEnabled": False},
    }
    write_private(folder / "mongod.conf", json.dumps(configuration, indent=2))
    return folder / "mongod.conf"


def not_ready(url: str, *, port: int | None) -> str | None:
    """Why MongoDB can't be used yet, or None.

    With `port` it is ours: the replica set is made on the first start, and moved when the port has changed since.
    """
    try:
        with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=2000, connectTimeoutMS=2000) as client:
            if port is None:
                client.admin.command("ping")
                return None
            _form_replica_set(client, f"127.0.0.1:{port}")
            return None if client.admin.command("hello").get("isWritablePrimary") else "not primary yet"
    except (PyMongoError, ValueError) as error:
        return type(error).__name__


def _form_replica_set(client: MongoClient[dict[str, Any]], address: str) -> None:
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        members = [{"_id": 0, "host": address}]
        if error.code == NOT_YET_INITIALIZED:
            client.admin.command("replSetInitiate", {"_id": SET_NAME, "members": members})
        elif error.code == INVALID_REPLICA_SET_CONFIG:
            stored = client.local["system.replset"].find_one() or {}
            moved = stored | {"version": stored["version"] + 1, "members": [stored["members"][0] | members[0]]}
            client.admin.command("replSetReconfig", moved, force=True)
        else:
            raise
