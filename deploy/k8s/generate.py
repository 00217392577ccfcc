"""Writes the manifests that are made from what stands elsewhere: `make docs`.

RabbitMQ's objects come from the topology that the services declare, rules and dashboard from deploy/observability.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import yaml
from aio_pika.abc import AbstractChannel

from flickrhub_common import topology

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = "deploy/k8s/components"
OBSERVABILITY = ROOT / "deploy" / "observability"
CLUSTER = "rabbitmq"
VHOST = "flickrhub"
HEAD = "# Made from {source} by `make docs`: change that.\n"
_WORDS = re.compile(r"[a-z.]+")

Object = dict[str, Any]


def main() -> None:
    """Write every generated manifest that isn't current."""
    for name, text in documents():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written: {name}\n")


def documents() -> Iterator[tuple[str, str]]:
    """Path below the root, and text, of each generated manifest."""
    source = "libs/common/src/flickrhub_common/topology.py"
    yield f"{COMPONENTS}/rabbitmq/topology.yaml", _text(source, rabbitmq_objects())
    yield f"{COMPONENTS}/monitoring/prometheusrule.yaml", _text("deploy/observability/alerts.yml", [rules()])
    yield f"{COMPONENTS}/monitoring/dashboard.yaml", _text("deploy/observability/dashboards", [dashboards()])


class Declared:
    """A channel that notes what is declared on it: exchanges by name, queues by name, and bindings."""

    def __init__(self) -> None:
        self.exchanges: dict[str, str] = {}
        self.queues: dict[str, dict[str, Any]] = {}
        self.bindings: list[tuple[str, str, str, str]] = []
        """Source, kind of destination, destination, routing key."""

    @classmethod
    def by_the_services(cls) -> "Declared":
        """What every service declares when it starts."""
        declared = cls()
        asyncio.run(topology.declare(cast("AbstractChannel", declared)))
        return declared

    async def declare_exchange(self, name: str, kind: Any, *, durable: bool) -> "_Bound":
        """As aio-pika's."""
        _durable(name, durable=durable)
        self.exchanges[name] = str(kind.value)
        return _Bound(self, "exchange", name)

    async def declare_queue(self, name: str, *, durable: bool, arguments: dict[str, Any]) -> "_Bound":
        """As aio-pika's."""
        _durable(name, durable=durable)
        self.queues[name] = arguments
        return _Bound(self, "queue", name)


class _Bound:
    def __init__(self, declared: Declared, kind: str, name: str) -> None:
        self._declared = declared
        self._kind = kind
        self.name = name

    async def bind(self, source: "_Bound | str", key: str) -> None:
        name = source if isinstance(source, str) else source.name
        self._declared.bindings.append((name, self._kind, self.name, key))


def _durable(name: str, *, durable: bool) -> None:
    if not durable:
        raise ValueError(f"{name} isn't durable: it must not be an object")


def rabbitmq_objects() -> Iterator[Object]:
    """Objects of the topology operator for the vhost and everything that is declared in it."""
    declared = Declared.by_the_services()
    yield _object("Vhost", VHOST, {"name": VHOST, "defaultQueueType": "quorum", "deletionPolicy": "retain"})
    for name, kind in declared.exchanges.items():
        yield _object("Exchange", name, {"name": name, "type": kind, "durable": True, "vhost": VHOST})
    for name, arguments in declared.queues.items():
        rest = {key: value for key, value in arguments.items() if key != "x-queue-type"}
        spec = {"name": name, "type": arguments["x-queue-type"], "durable": True, "arguments": rest, "vhost": VHOST}
        # An object that is deleted by mistake must not take the jobs in its queue along.
        yield _object("Queue", name, {**spec, "deletionPolicy": "retain"})
    for source, kind, destination, key in declared.bindings:
        spec = {"source": source, "destination": destination, "destinationType": kind, "routingKey": key}
        yield _object("Binding", _binding_name(source, destination, key), {**spec, "vhost": VHOST})


def _binding_name(source: str, destination: str, key: str) -> str:
    plain = key != destination and _WORDS.fullmatch(key)
    return f"{source}.to.{destination}.{key}" if plain else f"{source}.to.{destination}"


def _object(kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": "rabbitmq.com/v1beta1",
        "kind": kind,
        "metadata": {"name": name.replace("_", "-")},
        "spec": {**spec, "rabbitmqClusterReference": {"name": CLUSTER}},
    }


def rules() -> Object:
    """The alert rules as the Prometheus operator takes them."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "flickrhub"},
        "spec": yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text(encoding="utf-8")),
    }


def dashboards() -> Object:
    """The dashboards as Grafana's sidecar finds them."""
    files = sorted((OBSERVABILITY / "dashboards").glob("*.json"))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "flickrhub-dashboard", "labels": {"grafana_dashboard": "1"}},
        "data": {path.name: json.dumps(json.loads(path.read_text(encoding="utf-8"))) for path in files},
    }


def _text(source: str, objects: Iterable[Object]) -> str:
    return HEAD.format(source=source) + yaml.safe_dump_all(objects, sort_keys=False, width=1000, allow_unicode=True)


if __name__ == "__main__":
    main()
