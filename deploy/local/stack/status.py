"""`status`: every process at a glance."""

from deploy.local.stack import identity, readiness
from deploy.local.stack.places import Places
from deploy.local.stack.plan import METRICS_PORT_OF, PORT_OF, Plan
from deploy.local.stack.screen import say
from deploy.local.stack.supervise import Supervisor

ALL_READY, NOT_ALL_READY, NOT_RUNNING = 0, 1, 3


def status(places: Places, *, quietly: bool = False) -> int:
    """Print a table; 0 when everything is ready, 1 when something isn't, 3 when nothing runs, or supervisor doesn't."""
    supervisor = Supervisor(places)
    if not supervisor.answers() or not places.plan_file.exists():
        _print(_left_running(places) or "FlickrHub isn't running here (make up starts it).", quietly=quietly)
        return NOT_RUNNING
    plan = Plan.load(places.plan_file)
    processes = supervisor.processes()
    outcome = ALL_READY
    for name in plan.processes:
        reason = readiness.not_ready(name, plan)
        process = processes[name]
        line = f"{name:<17} {process.state.lower():<9} pid {process.pid:<8} port {plan.ports[PORT_OF[name]]:<6}"
        metrics = plan.ports.get(METRICS_PORT_OF.get(name, ""), "")
        line += f" {f'metrics {metrics}' if metrics else '':<13}"
        _print(f"{line} {'ready' if reason is None else reason}", quietly=quietly)
        if reason is not None or process.state != "RUNNING":
            outcome = NOT_ALL_READY
    for name in readiness.given_servers(plan):
        reason = readiness.not_ready(name, plan)
        _print(f"{name:<17} given by the environment: {reason or 'ready'}", quietly=quietly)
        outcome = NOT_ALL_READY if reason is not None else outcome
    return outcome


def _left_running(places: Places) -> str | None:
    """What to say when supervisor was killed alone, and what it had started goes on without it."""
    orphans = ", ".join(sorted(identity.left_running(places.programs)))
    if not orphans:
        return None
    return f"supervisor is gone; without it still run: {orphans}.\nmake up starts everything anew, make down stops it."


def _print(line: str, *, quietly: bool) -> None:
    if not quietly:
        say(line)
