"""How long each process may take to stop before it is killed."""

from deploy.local.stack.plan import SERVICES, Plan

SERVER_SECONDS = {"rabbitmq": 60, "mongo": 30, "redis": 20, "epmd": 5, "flickr-sim": 15}
# What a service's own grace period doesn't cover: closing connections, ending the interpreter.
MARGIN_SECONDS = 10
DEFAULT_GRACE_SECONDS = 20.0


def stop_seconds(name: str, plan: Plan) -> int:
    """Seconds between SIGTERM and SIGKILL for one process; services follow SHUTDOWN_GRACE_SECONDS."""
    if name not in SERVICES:
        return SERVER_SECONDS[name]
    try:
        grace = float(plan.settings.get("SHUTDOWN_GRACE_SECONDS", DEFAULT_GRACE_SECONDS))
    except ValueError:
        grace = DEFAULT_GRACE_SECONDS  # the service itself names the bad value, in its log
    return int(grace) + MARGIN_SECONDS


def tier_seconds(tier: list[str], plan: Plan) -> int:
    """Seconds until every process of a tier is gone, killed if need be."""
    return max((stop_seconds(name, plan) for name in tier), default=0) + MARGIN_SECONDS
