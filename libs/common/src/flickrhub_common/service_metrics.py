"""What every service tells of itself, and how its metrics are made."""

import asyncio
import platform
from collections.abc import Mapping
from importlib.metadata import version

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import Target
from flickrhub_common.health import Check, passes
from flickrhub_common.message_metrics import CONSUMED, IN_HAND, MESSAGE_METRICS
from flickrhub_common.metrics import Across, Label, Metric, Metrics, Sample, gauge

SERVICES = ("gateway", "auth", "notifier", *(f"executor-{target.value}" for target in Target))
DEPENDENCIES = ("rabbitmq", "mongo", "redis", "auth", "photo_store")

BUILD = gauge(
    "flickrhub_build_info",
    "Always 1; its labels say which service this is, of which version, run by which Python.",
    Label("service", SERVICES),
    Label("version", most=1),
    Label("python", most=1),
)
THERE = gauge(
    "flickrhub_dependency_up",
    "Whether this process reaches what it needs, as `/health/ready` asks: 1 or 0. `rabbitmq` is 1 only while every"
    " queue is consumed, too.",
    Label("dependency", DEPENDENCIES),
    across=Across.MIN,
)
EVERY_SERVICE = (BUILD, THERE, *MESSAGE_METRICS)
CHECK_SECONDS = 1.5


def make_metrics(service: str, *own: Metric) -> Metrics:
    """The metrics of a service: those of every one, and its ``own``."""
    metrics = Metrics((*EVERY_SERVICE, *own))
    metrics.gauge(BUILD).set(1, service, version("flickrhub-common"), platform.python_version())
    return metrics


def watch_dependencies(metrics: Metrics, checks: Mapping[str, Check]) -> None:
    """Have the readiness checks' verdicts shown."""
    there = metrics.gauge(THERE)

    async def take() -> None:
        verdicts = await asyncio.gather(*(passes(check, within=CHECK_SECONDS) for check in checks.values()))
        for name, passed in zip(checks, verdicts, strict=True):
            there.set(passed, name)

    metrics.samples.append(Sample((there,), take))


def watch_messages(metrics: Metrics, messaging: Messaging) -> None:
    """Have it shown which queues are consumed, and how many messages are in hand."""
    consumed, in_hand = metrics.gauge(CONSUMED), metrics.gauge(IN_HAND)

    async def take() -> None:
        in_hand.set(messaging.in_hand)
        for queue, taken in (await messaging.consumed()).items():
            consumed.set(taken, queue)

    metrics.samples.append(Sample((consumed, in_hand), take))
