"""Writes the documents that are made from code: `make docs`; with --check, tells which are out of date (exit 1).

docs/configuration.md and .env.example come from the settings classes, docs/asyncapi.json from the messages and the
topology, docs/openapi.json from the gateway, docs/metrics.md from the definitions of metrics.
"""

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flickrhub_auth.adapters.meter import AUTH_METRICS
from flickrhub_auth.settings import AuthSettings
from flickrhub_common import contracts, topology
from flickrhub_common.contracts import Message
from flickrhub_common.metrics import Kind, Label, Metric
from flickrhub_common.service_metrics import EVERY_SERVICE
from flickrhub_common.settings import Settings
from flickrhub_executor.adapters.meter import EXECUTOR_METRICS
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_gateway.adapters.meter import GATEWAY_METRICS
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_notifier.adapters.meter import NOTIFIER_METRICS
from flickrhub_notifier.settings import NotifierSettings

ROOT = Path(__file__).resolve().parents[1]
SERVICES: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "auth": AuthSettings,
    "executor": ExecutorSettings,
    "notifier": NotifierSettings,
}
METRICS: dict[str, tuple[Metric, ...]] = {
    "every service": EVERY_SERVICE,
    "gateway": GATEWAY_METRICS,
    "auth": AUTH_METRICS,
    "executor": EXECUTOR_METRICS,
    "notifier": NOTIFIER_METRICS,
}


_MOST_SHOWN = 12
"""Values of a label that are listed; of queues there are more."""

_NAMES: dict[Any, str] = {
    SecretStr: "secret text",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
}


def main(arguments: list[str]) -> int:
    """Write or check every generated document."""
    stale = []
    for name, text in documents():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    verb = "out of date" if "--check" in arguments else "written"
    sys.stdout.writelines(f"{verb}: {name}\n" for name in stale)
    return 1 if stale and "--check" in arguments else 0


def documents() -> Iterator[tuple[str, str]]:
    """Path below the root, and text, of each generated document."""
    yield "docs/configuration.md", configuration()
    yield ".env.example", env_example()
    yield "docs/metrics.md", metrics()
    yield "docs/asyncapi.json", json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


def configuration() -> str:
    """docs/configuration.md: every variable of every service."""
    lines = [
        "# Configuration",
        "",
        "Made from the settings classes by `make docs`. Every variable is read from the environment at start; a bad",
        "value stops the service with one line that names it. An empty value counts as not given.",
        "",
        "Any variable `NAME` can be given as `NAME_FILE`, which names a file that holds the value in one line (the",
        "line ending at its end is dropped): that is how secrets are mounted, so it is shown for secrets only. A file",
        "that can't be read or is empty, and `NAME` beside `NAME_FILE`, stop the service with one line that names the",
        "variable.",
        "",
    ]
    shared = set(Settings.model_fields)
    lines += _section("Every service", Settings, only=shared - {"port"})
    for name, settings in SERVICES.items():
        lines += _section(name, settings, only=(set(settings.model_fields) - shared) | {"port"})
    return "\n".join(lines)


def _section(title: str, settings: type[Settings], *, only: set[str]) -> list[str]:
    rows = [
        f"| {_variable(name, field)} | {_type(field)} | {_default(field)} | {field.description} |"
        for name, field in settings.model_fields.items()
        if name in only
    ]
    return [f"## {title}", "", "| variable | type | default | meaning |", "|---|---|---|---|", *rows, ""]


def _variable(name: str, field: FieldInfo) -> str:
    name = name.upper()
    return f"`{name}` or `{name}_FILE`" if SecretStr in _options(field) else f"`{name}`"


def _options(field: FieldInfo) -> list[Any]:
    kind: Any = field.annotation
    return [option for option in get_args(kind) or (kind,) if option is not type(None)]


def _type(field: FieldInfo) -> str:
    options = _options(field)
    if all(isinstance(option, str) for option in options):
        return ", ".join(f"`{option}`" for option in options)
    kind: Any = options[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    return {SecretStr: "secret text", str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}[
        kind
    ]


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**required**"
    value = field.default
    if value is None or _plain(value) == "":
        return "none"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def env_example() -> str:
    """.env.example: every variable once, with its default, commented out where there is one."""
    lines = ["# Made from the settings classes by `make docs`; docs/configuration.md says more.", ""]
    seen: set[str] = set()
    named: dict[str, type[Settings]] = {"every service": Settings, **SERVICES}
    for title, settings in named.items():
        fields = {n: f for n, f in settings.model_fields.items() if n not in seen}
        if title == "every service":
            del fields["port"]  # each service has a default of its own
        if not fields:
            continue
        seen |= set(fields)
        lines.append(f"# --- {title}")
        for name, field in fields.items():
            or_file = f" Or {name.upper()}_FILE." if SecretStr in _options(field) else ""
            lines.append(f"# {field.description}{or_file}")
            required = field.default is PydanticUndefined
            value = "" if required or field.default is None else _plain(field.default)
            lines.append(f"{name.upper()}=" if required else f"# {name.upper()}={value}")
        lines.append("")
    return "\n".join(lines)


_METRICS_PAGE = """# Metrics

Made from the definitions in the code by `make docs`. Every process shows its metrics at `/metrics` on a port of its
own (`METRICS_PORT`, 9464 unless told otherwise; 0 is none), in Prometheus' text form, from before it opens until after
it has closed. There is no password: keep the port inside. On the local stack `make status` names each process's port,
and `.run/env` has it (`GATEWAY_METRICS_PORT` …).

A look waits one second at most for figures that others have to be asked for (queues, stores, budgets, breakers). These
are good for 5 s. Of whoever doesn't answer within 2 s there are none from then on (`NaN` where a metric has no labels):
how things were isn't shown for how they are.

**Labels** take the values listed here, and whatever else comes is counted as `other`: methods, hosts, users and ids
never make series. Only `key` shows values from outside, hashed and so many at most. A page has at most {most} lines of
our own.

**Several processes** of a service are put together as the last column says: `sum` of counters' rates, histograms'
buckets and what each has for itself; `max` (or `min`) of what each sees of the same thing, which would be counted
twice:

```
sum by (outcome) (rate(flickrhub_jobs_ended_total[5m]))
histogram_quantile(0.95, sum by (le) (rate(flickrhub_job_seconds_bucket[5m])))
max by (queue) (flickrhub_queue_messages)
min by (key) (flickrhub_budget_left_calls)
```

A counter begins at 0 with its process; a process killed between an effect and its count has counted one too few. The
client library adds what a process uses: `process_cpu_seconds_total`, `process_resident_memory_bytes`,
`process_open_fds`, `process_start_time_seconds`. Why it is that library: [ADR 25](adr/0025-prometheus-client.md).
"""


def metrics() -> str:
    """docs/metrics.md: every metric of every service."""
    most = max(sum(one.most_series for one in (*EVERY_SERVICE, *own)) for own in METRICS.values())
    lines = [_METRICS_PAGE.format(most=f"{most:,}")]
    for title, defined in METRICS.items():
        lines += [f"## {title[0].upper()}{title[1:]}", "", "| metric | type | labels | meaning | replicas |"]
        lines += ["|---|---|---|---|---|", *(_metric(metric) for metric in defined), ""]
    return "\n".join(lines)


def _metric(metric: Metric) -> str:
    labels = "<br>".join(_label(label) for label in metric.labels) or "none"
    meaning = metric.meaning
    if metric.kind is Kind.HISTOGRAM:
        meaning += f" Up to {', '.join(f'{bound:g}' for bound in metric.buckets)} s."
    meaning = meaning.replace("|", "\\|")
    return f"| `{metric.name}` | {metric.kind} | {labels} | {meaning} | {metric.across} |"


def _label(label: Label) -> str:
    if not label.values:
        return f"`{label.name}`: {label.most} values at most"
    shown = label.values if len(label.values) <= _MOST_SHOWN else (*label.values[:_MOST_SHOWN], "…")
    return f"`{label.name}`: {', '.join(shown)}"


def asyncapi() -> dict[str, Any]:
    """docs/asyncapi.json: the queues, who reads them, and the messages in them (AsyncAPI 3.0)."""
    kinds = [kind for kind in vars(contracts).values() if isinstance(kind, type) and issubclass(kind, Message)]
    messages = {kind.name: kind for kind in kinds if hasattr(kind, "name")}
    channels, operations = {}, {}
    for queue in topology.WORK_QUEUES.values():
        names = _messages_of(queue, messages)
        channels[queue.name] = {
            "address": queue.name,
            "description": f"Dead letters go to {queue.dead_letter_queue}.",
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"amqp": {"is": "queue", "queue": {"name": queue.name, "durable": True}}},
        }
        operations[f"receive_{queue.name}"] = {"action": "receive", "channel": {"$ref": f"#/channels/{queue.name}"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "FlickrHub messages",
            "version": "0.1.0",
            "description": "Everything that crosses the broker. The AMQP type of a message is its name.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {name: _message(kind) for name, kind in sorted(messages.items())}},
    }


def _messages_of(queue: topology.WorkQueue, messages: dict[str, type[Message]]) -> list[str]:
    if queue.exchange == topology.JOBS_EXCHANGE:
        return ["job.requested"]
    if queue.keys:
        return [key for key in queue.keys if key in messages]
    return ["callback.due"]


def _message(kind: type[Message]) -> dict[str, Any]:
    schema = TypeAdapter(kind).json_schema(ref_template=f"#/components/messages/{kind.name}/payload/$defs/{{model}}")
    return {"name": kind.name, "summary": " ".join((kind.__doc__ or "").split()), "payload": schema}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
