"""Secrets for the overlay `dev`, with values made up now: `python3 deploy/k8s/dev_secrets.py | kubectl apply -f -`.

Once per cluster: new values wouldn't fit what the stores were set up with, and what is sealed would stay so.
"""

import base64
import json
import secrets
import sys
from typing import Any

NAMESPACE = "flickrhub-dev"
MOUNTED = {
    "flickrhub-gateway": ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS"),
    "flickrhub-auth": ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS"),
    "flickrhub-notifier": ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "ENCRYPTION_KEYS"),
    "flickrhub-executor": ("RABBIT_URL", "REDIS_URL", "INTERNAL_API_TOKEN"),
    "flickrhub-executor-photos": ("RABBIT_URL", "REDIS_URL", "INTERNAL_API_TOKEN", "MONGO_URL"),
}
"""What each service's Secret holds: nothing that it doesn't need."""


def manifests() -> list[dict[str, Any]]:
    """Secrets with fresh values."""
    rabbit, mongo, redis = (secrets.token_hex(16) for _ in range(3))
    values = {
        "RABBIT_URL": f"amqp://flickrhub:{rabbit}@rabbitmq:5672/flickrhub",
        "MONGO_URL": f"mongodb://flickrhub:{mongo}@mongodb:27017/?authSource=admin",
        "REDIS_URL": f"redis://:{redis}@redis:6379/0",
        "INTERNAL_API_TOKEN": secrets.token_urlsafe(32),
        "ENCRYPTION_KEYS": f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    }
    broker = f"default_user = flickrhub\ndefault_pass = {rabbit}\ndefault_vhost = flickrhub\n"
    return [
        *(_secret(name, {key: values[key] for key in keys}) for name, keys in MOUNTED.items()),
        _secret("flickrhub-rabbitmq", {"rabbitmq.conf": broker}),
        _secret("flickrhub-mongodb", {"username": "flickrhub", "password": mongo}),
        _secret("flickrhub-redis", {"redis.conf": f"requirepass {redis}\n"}),
    ]


def _secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}


if __name__ == "__main__":
    json.dump({"apiVersion": "v1", "kind": "List", "items": manifests()}, sys.stdout)
