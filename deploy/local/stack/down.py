"""`down` and `clean`: stop exactly what `up` started."""

import signal

from deploy.local.stack import identity, wait
from deploy.local.stack.errors import NotReady
from deploy.local.stack.identity import Identity
from deploy.local.stack.lock import exclusive
from deploy.local.stack.places import Places
from deploy.local.stack.plan import SERVERS, Plan
from deploy.local.stack.screen import say
from deploy.local.stack.stopping import tier_seconds
from deploy.local.stack.supervise import NAME as SUPERVISOR
from deploy.local.stack.supervise import Supervisor

KILLED_WITHIN_SECONDS = 10
ORPHAN_SECONDS = 70


def down(places: Places) -> None:
    """Stop the stack and keep its data; say so when nothing runs."""
    if not places.is_ours():
        say("Nothing is running.")
        return
    with exclusive(places):
        if stop_everything(places):
            say(f"FlickrHub is stopped; its data stays in {places.shown(places.data)}/ until make clean.")
        else:
            say("Nothing is running.")


def clean(places: Places) -> None:
    """Stop the stack and forget it: data, logs, credentials."""
    if not places.run.exists():
        return
    if places.is_ours():
        with exclusive(places):
            stop_everything(places)
            places.forget()
    else:
        places.forget()
    say(f"{places.shown(places.run)}/ is removed.")


def stop_everything(places: Places) -> bool:
    """Stop services, then the simulator, then the servers, then supervisor; return whether anything ran."""
    ran = bool(identity.left_running(places.programs))
    supervisor = Supervisor(places)
    if supervisor.answers() and places.plan_file.exists():
        _stop_in_order(supervisor, Plan.load(places.plan_file))
    supervisor.shut_down(seconds=ORPHAN_SECONDS)
    _stop_orphans(places)
    _tidy(places)
    return ran


def _stop_in_order(supervisor: Supervisor, plan: Plan) -> None:
    try:
        for tier in reversed(plan.tiers):
            supervisor.end(tier, seconds=tier_seconds(tier, plan))
    except NotReady:
        say("supervisor stopped answering: stopping the processes one by one.")


def _stop_orphans(places: Places) -> None:
    """What supervisor left behind, because it was killed itself: same order, only processes that are really ours."""
    orphans = identity.left_running(places.programs)
    if SUPERVISOR in orphans:  # it didn't end in time; it must not restart what is stopped now
        _stop([orphans.pop(SUPERVISOR)], seconds=0)
    servers = {*SERVERS, "epmd", "flickr-sim"}
    _stop([found for name, found in orphans.items() if name not in servers], seconds=ORPHAN_SECONDS)
    _stop([found for name, found in orphans.items() if name in servers - {"epmd"}], seconds=ORPHAN_SECONDS)
    _stop([found for name, found in orphans.items() if name == "epmd"], seconds=ORPHAN_SECONDS)


def _stop(found: list[Identity], *, seconds: float) -> None:
    for number, limit in ((signal.SIGTERM, seconds), (signal.SIGKILL, KILLED_WITHIN_SECONDS)):
        for one in found:
            one.send(number)
        if wait.until(lambda: not any(one.is_alive() for one in found), seconds=limit):
            return


def _tidy(places: Places) -> None:
    """Remove what describes a run that is over; data, logs and credentials stay."""
    gone = [places.env_file, places.plan_file, places.supervisor_conf, places.run / "launch", places.socket]
    for path in (*gone, *places.pids.glob("*"), *places.programs.glob("*")):
        path.unlink(missing_ok=True)
    if places.socket.parent != places.run and places.socket.parent.exists():
        places.socket.parent.rmdir()
