"""`up`: bring the stack up, or leave it alone if it is."""

from collections.abc import Mapping

from deploy.local.stack import caller, credentials, down, envfile, identity, ports, programs, rabbitmq, readiness
from deploy.local.stack.credentials import Credentials
from deploy.local.stack.errors import RunningDifferently
from deploy.local.stack.lock import exclusive
from deploy.local.stack.places import Places
from deploy.local.stack.plan import Plan, make
from deploy.local.stack.screen import say, step
from deploy.local.stack.stopping import stop_seconds
from deploy.local.stack.supervise import Supervisor

TITLES = {
    "epmd": "Erlang's port mapper",
    "rabbitmq": "RabbitMQ",
    "mongo": "MongoDB",
    "redis": "Redis",
    "flickr-sim": "the Flickr simulator",
}


def up(places: Places, environ: Mapping[str, str], *, free_ports: bool = False) -> None:
    """Bring the stack up and return when everything is ready.

    A stack that runs is left as it is, but for what has died of it. Raises CannotStart with the one line to show; what
    this call started is stopped again then.
    """
    places.create()
    with exclusive(places):
        if Supervisor(places).answers():
            _complete(places, caller.settings(environ))
        else:
            _start(places, environ, free_ports=free_ports)


def _start(places: Places, environ: Mapping[str, str], *, free_ports: bool) -> None:
    if identity.left_running(places.programs):
        say("The last run ended without make down: stopping what it left.")
        down.stop_everything(places)
    secrets = credentials.load_or_make(places.secrets_file)
    settings = caller.settings(environ)
    if free_ports:
        settings = {name: value for name, value in settings.items() if name not in ports.DEFAULTS}
    plan = make(settings, secrets, all_ports=ports.free() if free_ports else ports.chosen(settings))
    start(plan, places, secrets, environ)
    say(_where_next(plan, places))


def start(plan: Plan, places: Places, secrets: Credentials, environ: Mapping[str, str]) -> None:
    """Start what `plan` says and return when it is ready; on any failure stop it again and raise."""
    ports.ensure_free(plan.ports, gateway_host=plan.gateway_host)
    readiness.ensure_given(plan)
    programs.prepare(plan, places, secrets, environ)
    supervisor = Supervisor(places)
    supervisor.configure(plan.tiers, stop_seconds={name: stop_seconds(name, plan) for name in plan.processes})
    plan.save(places.plan_file)
    try:
        supervisor.start()
        _bring_up(plan, supervisor)
    except BaseException:
        down.stop_everything(places)
        raise
    envfile.write(places.env_file, plan.exported)


def _complete(places: Places, settings: Mapping[str, str]) -> None:
    plan = Plan.load(places.plan_file)
    different = plan.differences(settings)
    if different:
        raise RunningDifferently(
            f"the stack is running already, with other settings ({', '.join(different)}): run make down first"
        )
    supervisor = Supervisor(places)
    missing = [name for name, process in supervisor.processes().items() if process.state not in ("RUNNING", "STARTING")]
    begun: list[str] = []
    try:
        begun = _bring_up(plan, supervisor, quietly=not missing)
    except BaseException:
        supervisor.end(begun, seconds=60)
        raise
    envfile.write(places.env_file, plan.exported)
    say(f"Started again: {', '.join(missing)}." if missing else "The stack is running already; nothing to do.")
    say(_where_next(plan, places))


def _bring_up(plan: Plan, supervisor: Supervisor, *, quietly: bool = False) -> list[str]:
    """Start what isn't under way, tier by tier; return what was started."""
    begun: list[str] = []
    for tier in plan.tiers:
        if quietly:
            readiness.wait_ready(tier, plan, supervisor)
            continue
        with step("Starting " + ", ".join(TITLES.get(name, name) for name in tier)):
            begun += supervisor.begin(tier)
            readiness.wait_ready(tier, plan, supervisor)
        if "rabbitmq" in tier:
            rabbitmq.enable_features(plan.exported["RABBIT_MANAGEMENT_URL"])
    return begun


def _where_next(plan: Plan, places: Places) -> str:
    url = plan.exported["GATEWAY_URL"]
    return (
        f"FlickrHub is up at {url} (API page: {url}/docs).\n"
        f"  every URL, port and credential: . {places.shown(places.env_file)}    logs: {places.shown(places.logs)}/\n"
        "  next: make demo, make status, make logs, make down"
    )
