"""`rotate-keys`: a new key for the secrets at rest, and the old one gone, while jobs run.

The order is what loses nothing: every process can open what the new key seals before any seals with it, and the old
key goes when nothing needs it any more. A rotation that was broken off goes on where it was.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deploy.local.stack import credentials, envfile, readiness
from deploy.local.stack.credentials import Credentials
from deploy.local.stack.errors import BadSetting, CannotStart, NotReady
from deploy.local.stack.lock import exclusive
from deploy.local.stack.places import Places, write_private
from deploy.local.stack.plan import SERVICES, Plan, needs
from deploy.local.stack.screen import say, step
from deploy.local.stack.stopping import tier_seconds
from deploy.local.stack.supervise import Supervisor

VARIABLE = "ENCRYPTION_KEYS"


def rotate_keys(places: Places, *, wait_seconds: float) -> None:
    """Rotate, and return when only the new key is left. Raises CannotStart with the one line to show."""
    if not places.is_ours() or not Supervisor(places).answers():
        raise CannotStart("the stack isn't running: run make up first")
    with exclusive(places):
        plan = Plan.load(places.plan_file)
        known = credentials.load_or_make(places.secrets_file)
        if plan.settings.get(VARIABLE, known.encryption_keys) != known.encryption_keys:
            raise BadSetting(f"{VARIABLE} is the caller's own: docs/key-rotation.md says how to rotate it by hand")
        _Rotation(places, plan, known, wait_seconds).run()


class _Rotation:
    def __init__(self, places: Places, plan: Plan, known: Credentials, wait_seconds: float) -> None:
        self._places = places
        self._plan = plan
        self._known = known
        self._wait_seconds = wait_seconds
        self._supervisor = Supervisor(places)
        self._holders = [name for name in SERVICES if VARIABLE in needs(name)]

    def run(self) -> None:
        keys = sorted(self._known.encryption_keys.split(","), key=credentials.number_of)
        if len(keys) > 1:
            say(f"A rotation was broken off: going on with {_id_of(keys[-1])}.")
        else:
            keys.append(credentials.new_key(credentials.number_of(keys[0]) + 1))
        *old, new = keys
        if not self._known.encryption_keys.startswith(new):
            say(f"1. {_id_of(new)} comes last in the ring: everybody can open what it seals, nobody seals with it yet.")
            self._roll_out([*old, new])
        say(f"2. {_id_of(new)} comes first: it seals from now on.")
        self._roll_out([new, *old])
        say(f"3. What is kept comes under {_id_of(new)}; jobs under way are waited for.")
        for name in self._holders:
            self._reseal(name)
        say(f"4. {_id_of(new)} alone.")
        self._roll_out([new])
        say(f"Done: nothing needs {', '.join(map(_id_of, old))} any more. New credentials: {self._env_file()}")

    def _roll_out(self, keys: list[str]) -> None:
        """Give every process that holds the ring this one, one after the other."""
        ring = ",".join(keys)
        self._known = replace(self._known, encryption_keys=ring)
        credentials.save(self._known, self._places.secrets_file)
        self._plan.exported[VARIABLE] = ring
        if VARIABLE in self._plan.settings:  # the shell of whoever started it had read `.run/env`
            self._plan.settings[VARIABLE] = ring
        self._plan.save(self._places.plan_file)
        for name in self._holders:
            with step(f"   {name} starts again with {', '.join(map(_id_of, keys))}"):
                give(self._program(name), ring)
                if not self._supervisor.end([name], seconds=tier_seconds([name], self._plan)):
                    raise NotReady(name, "it doesn't stop")
                self._supervisor.begin([name])
                readiness.wait_ready([name], self._plan, self._supervisor)
        envfile.write(self._places.env_file, self._plan.exported)

    def _reseal(self, name: str) -> None:
        spec = json.loads(self._program(name).read_text(encoding="utf-8"))
        command = [*spec["argv"], "reseal", "--wait", str(self._wait_seconds)]
        environment: Mapping[str, str] = spec["env"] | {"LOG_FORMAT": "console", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
        outcome = subprocess.run(command, env=environment, cwd=spec["cwd"], check=False).returncode
        if outcome:
            why = "something still needs the old key" if outcome == 1 else "not everything could be reached"
            raise NotReady(name, f"{why}, so both stay: make rotate-keys goes on where this stopped")

    def _env_file(self) -> str:
        return self._places.shown(self._places.env_file)

    def _program(self, name: str) -> Path:
        return self._places.programs / f"{name}.json"


def give(program: Path, ring: str) -> None:
    """Have a process start with this ring from its next start on."""
    spec = json.loads(program.read_text(encoding="utf-8"))
    spec["env"][VARIABLE] = ring
    write_private(program, json.dumps(spec, indent=2))


def _id_of(key: str) -> str:
    return key.partition(":")[0]
