"""Credentials of this run folder: made once, kept until `make clean`."""

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.stack.places import write_private


@dataclass(frozen=True)
class Credentials:
    """Everything secret that the stack makes up itself."""

    rabbit_node: str
    rabbit_password: str
    rabbit_cookie: str
    redis_password: str
    internal_api_token: str
    encryption_keys: str

    def __repr__(self) -> str:
        return "Credentials(…)"


def new_key(number: int) -> str:
    """A key for the ring of ENCRYPTION_KEYS; ``number`` is higher than any before it, so its id is its own."""
    return f"local{number}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def number_of(key: str) -> int:
    """Which of this run folder's keys it is."""
    return int(key.partition(":")[0].removeprefix("local"))


def _new() -> Credentials:
    return Credentials(
        # Kept with the data: RabbitMQ finds its data folder by the node's name.
        rabbit_node=f"flickrhub-{secrets.token_hex(4)}@localhost",
        # Hexadecimal: these two stand in URLs.
        rabbit_password=secrets.token_hex(24),
        redis_password=secrets.token_hex(24),
        rabbit_cookie=secrets.token_hex(24),
        internal_api_token=secrets.token_urlsafe(32),
        encryption_keys=new_key(1),
    )


def load_or_make(path: Path) -> Credentials:
    """The credentials in `path`, made and stored there if there are none yet."""
    if not path.exists():
        save(_new(), path)
    return Credentials(**json.loads(path.read_text(encoding="utf-8")))


def save(credentials: Credentials, path: Path) -> None:
    """Store them in `path`."""
    write_private(path, json.dumps(asdict(credentials), indent=2))
