"""The three servers, really started: ready, restarted when killed, stopped with and without supervisor."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from redis import Redis

from deploy.local.stack import credentials, down, envfile, identity, ports, readiness, up, wait
from deploy.local.stack.errors import NotReady
from deploy.local.stack.places import Places
from deploy.local.stack.plan import Plan, make

ROOT = Path(__file__).resolve().parents[3]
SERVERS = {"epmd", "rabbitmq", "mongo", "redis", "supervisord"}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    places = Places(root=ROOT, run=tmp_path_factory.mktemp("stack") / "a run")
    places.create()
    yield places
    down.stop_everything(places)


def start_servers(places: Places, servers: set[str]) -> Plan:
    secrets = credentials.load_or_make(places.secrets_file)
    plan = make({}, secrets, all_ports=ports.free())
    plan = replace(plan, tiers=[[name for name in tier if name in servers] for tier in plan.tiers[:2]])
    up.start(plan, places, secrets, {})
    return plan


@pytest.fixture(scope="module")
def plan(places: Places) -> Plan:
    return start_servers(places, SERVERS)


def pid_of(places: Places, name: str) -> int:
    return int((places.pids / f"{name}.pid").read_text(encoding="utf-8"))


def test_the_servers_answer_to_the_urls_in_the_env_file(places: Places, plan: Plan) -> None:
    env = envfile.read(places.env_file)
    with Redis.from_url(env["REDIS_URL"]) as redis, MongoClient[dict[str, Any]](env["MONGO_URL"]) as mongo:
        assert redis.config_get("appendonly") == {"appendonly": "yes"}
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}
        redis.set("kept", "yes")
        assert mongo.admin.command("hello")["setName"] == "rs0"
        mongo.test.kept.insert_one({"_id": 1})
    assert readiness.not_ready("rabbitmq", plan) is None
    # As somebody else's broker it is asked over AMQP.
    elsewhere = replace(plan, ports={})
    assert readiness.not_ready("rabbitmq", elsewhere) is None


def test_a_killed_server_is_started_again_with_a_new_pid_file(places: Places, plan: Plan) -> None:
    before = pid_of(places, "redis")
    os.kill(before, signal.SIGKILL)
    assert wait.until(lambda: pid_of(places, "redis") != before, seconds=10)
    assert wait.until(lambda: readiness.not_ready("redis", plan) is None, seconds=10)


def test_a_stack_without_its_supervisor_is_stopped_all_the_same_and_keeps_its_data(places: Places, plan: Plan) -> None:
    assert identity.left_running(places.programs).keys() == SERVERS
    os.kill(pid_of(places, "supervisord"), signal.SIGKILL)
    pids = [pid_of(places, name) for name in SERVERS]
    assert down.stop_everything(places)
    assert not [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and "Z" not in state(pid)]
    assert not down.stop_everything(places)

    start_servers(places, {"mongo", "redis"})  # on other ports: the replica set moves
    env = envfile.read(places.env_file)
    with Redis.from_url(env["REDIS_URL"]) as redis, MongoClient[dict[str, Any]](env["MONGO_URL"]) as mongo:
        assert redis.get("kept") == b"yes"
        assert mongo.test.kept.count_documents({}) == 1


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def test_a_server_that_is_not_there_is_told_by_its_variable(places: Places) -> None:
    secrets = credentials.load_or_make(places.secrets_file)
    plan = make({"REDIS_URL": "redis://127.0.0.1:1/0"}, secrets, all_ports=ports.free())
    with pytest.raises(NotReady, match=r"^REDIS_URL didn't get ready: the server it names can't be used"):
        readiness.ensure_given(plan)
