"""The plan: which servers are ours, what every process is told, what a second `make up` compares."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from deploy.local.stack import caller, cli, credentials, executables, ports, programs
from deploy.local.stack.errors import BadSetting
from deploy.local.stack.places import Places
from deploy.local.stack.plan import Plan, make
from flickrhub_auth.settings import AuthSettings
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_notifier.settings import NotifierSettings

SECRETS = ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS")


def plan_for(places: Places, environ: dict[str, str] | None = None) -> Plan:
    settings = caller.settings(environ or {})
    secrets = credentials.load_or_make(places.secrets_file)
    return make(settings, secrets, all_ports=ports.chosen(settings))


def prepared(places: Places, environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What launch.py is told for every process, by name."""
    secrets = credentials.load_or_make(places.secrets_file)
    programs.prepare(plan_for(places, environ), places, secrets, environ)
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in places.programs.glob("*.json")}


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ("gateway", SECRETS),
        ("auth", SECRETS),
        ("executor-rest", ("RABBIT_URL", "REDIS_URL", "INTERNAL_API_TOKEN")),
        ("executor-upload", ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN")),
        ("executor-replace", ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN")),
        ("notifier", ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "ENCRYPTION_KEYS")),
        ("flickr-sim", ()),
        ("mongo", ()),
    ],
)
def test_a_process_gets_the_secrets_it_needs_and_no_other(
    places: Places, process: str, expected: tuple[str, ...]
) -> None:
    # Exported by the caller, too: inheriting must not be a way around.
    exported = plan_for(places).exported
    env = prepared(places, {name: exported[name] for name in SECRETS})[process]["env"]
    assert {name: env[name] for name in SECRETS if name in env} == {name: exported[name] for name in expected}


def test_a_variable_of_the_caller_reaches_every_service(places: Places) -> None:
    found = prepared(places, {"CACHE_ENABLED": "false", "SOMETHING_NEW": '50% of "it"\n'})
    for process in ("gateway", "auth", "executor-rest", "executor-upload", "executor-replace", "notifier"):
        assert found[process]["env"]["CACHE_ENABLED"] == "false"
        assert found[process]["env"]["SOMETHING_NEW"] == '50% of "it"\n'


def test_port_and_host_of_the_caller_are_the_gateways_alone(places: Places) -> None:
    found = prepared(places, {"PORT": "4000", "HOST": "0.0.0.0", "TARGET": "nonsense"})
    assert (found["gateway"]["env"]["PORT"], found["gateway"]["env"]["HOST"]) == ("4000", "0.0.0.0")
    assert (found["auth"]["env"]["PORT"], found["auth"]["env"]["HOST"]) == ("3101", "127.0.0.1")
    assert found["executor-replace"]["env"]["TARGET"] == "replace"
    assert "TARGET" not in found["gateway"]["env"]


def test_the_local_defaults_give_way_to_the_caller(places: Places) -> None:
    assert prepared(places, {})["notifier"]["env"]["CALLBACK_ALLOW_CIDRS"] == "127.0.0.0/8,::1/128"
    assert prepared(places, {"MOCK_FLICKR": "false"})["executor-rest"]["env"]["MOCK_FLICKR"] == "false"


def test_services_talk_to_each_other_past_the_callers_proxy(places: Places) -> None:
    env = prepared(places, {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "intranet"})["gateway"]["env"]
    assert env["HTTPS_PROXY"] == "http://proxy:1"
    assert env["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"


def test_no_credential_stands_in_a_command_line(places: Places) -> None:
    secrets = credentials.load_or_make(places.secrets_file)
    values = [value for name, value in vars(secrets).items() if name != "rabbit_node"]
    for process in prepared(places, {}).values():
        assert not [value for value in values if value in " ".join(process["argv"])]


def test_only_this_user_can_read_what_holds_credentials(places: Places) -> None:
    prepared(places, {})
    plan_for(places).save(places.plan_file)
    assert places.run.stat().st_mode & 0o777 == 0o700
    private = [places.secrets_file, places.plan_file, *places.programs.glob("*.json"), *places.data.glob("*/*.conf")]
    assert len(private) > 10
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in private if path.stat().st_mode & 0o077} == {}


def test_a_server_named_by_the_environment_is_used_and_not_started(places: Places) -> None:
    plan = plan_for(places, {"RABBIT_URL": "amqp://me:it@broker/", "MONGO_URL": "mongodb://db/"})
    assert plan.tiers[0] == ["redis"]
    assert plan.exported["RABBIT_URL"] == "amqp://me:it@broker/"
    assert plan.exported["MONGO_URL"] == "mongodb://db/"
    assert not {"RABBIT_MANAGEMENT_URL", "EPMD_PORT", "RABBIT_PORT", "MONGO_PORT"} & plan.exported.keys()
    assert "REDIS_PORT" in plan.exported


def test_a_server_can_be_named_by_a_file(places: Places, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://elsewhere\n", encoding="utf-8")
    plan = plan_for(places, {"REDIS_URL_FILE": str(tmp_path / "url")})
    assert plan.exported["REDIS_URL"] == "redis://elsewhere"
    assert "redis" not in plan.processes


def test_a_file_that_is_not_there_is_told_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"^ENCRYPTION_KEYS_FILE: the file can't be read"):
        caller.settings({"ENCRYPTION_KEYS_FILE": str(tmp_path / "none")})


def test_a_secret_given_both_ways_is_told_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("k", encoding="utf-8")
    with pytest.raises(BadSetting, match=r"^ENCRYPTION_KEYS: given twice"):
        caller.settings({"ENCRYPTION_KEYS": "k", "ENCRYPTION_KEYS_FILE": str(tmp_path / "keys")})


def test_our_own_urls_exported_by_the_callers_shell_name_our_own_servers(places: Places) -> None:
    plan = plan_for(places)
    assert plan_for(places, plan.exported).processes == plan.processes


def test_credentials_stay_the_same_from_run_to_run(places: Places) -> None:
    assert plan_for(places).exported == plan_for(places).exported


def test_a_stored_plan_comes_back_as_it_was(places: Places) -> None:
    plan = plan_for(places, {"CACHE_PREFIX": "é'%\""})
    plan.save(places.plan_file)
    assert Plan.load(places.plan_file) == plan


def test_only_settings_that_differ_from_the_running_ones_are_reported(places: Places) -> None:
    plan = plan_for(places, {"CACHE_ENABLED": "false"})
    assert plan.differences({}) == []
    assert plan.differences(caller.settings({"CACHE_ENABLED": "false", "PORT": "3000", "TERM": "xterm"})) == []
    asked = caller.settings({"CACHE_ENABLED": "true", "SIM_PORT": "9", "WORKER_CONCURRENCY": "4"})
    assert plan.differences(asked) == ["CACHE_ENABLED", "SIM_PORT", "WORKER_CONCURRENCY"]


def test_addresses_that_are_allowed_no_more_are_a_difference_to_a_running_stack(places: Places) -> None:
    cleared = caller.settings({"CALLBACK_ALLOW_CIDRS": "", "UPLOAD_ALLOW_CIDRS": "", "CACHE_ENABLED": ""})
    assert plan_for(places, {}).differences(cleared) == ["CALLBACK_ALLOW_CIDRS", "UPLOAD_ALLOW_CIDRS"]
    assert plan_for(places, {"CALLBACK_ALLOW_CIDRS": "", "UPLOAD_ALLOW_CIDRS": ""}).differences(cleared) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LOG_LEVEL", "loud"), ("MOCK_FLICKR", "maybe"), ("CALLBACK_ALLOW_CIDRS", "0.0.0.0/0"), ("SIM_SEED", "x")],
)
def test_what_a_service_could_not_use_is_told_before_anything_is_started(
    places: Places, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "of this process")
    with pytest.raises(BadSetting, match=f"^{variable}: "):
        prepared(places, {variable: value})
    assert os.environ["WORKER_CONCURRENCY"] == "of this process"


@pytest.mark.parametrize(
    "settings", [AuthSettings, ExecutorSettings, GatewaySettings, NotifierSettings], ids=lambda cls: cls.__name__
)
def test_a_second_make_up_compares_every_setting_of_every_service(settings: type[BaseSettings]) -> None:
    decided_by_the_stack = {"TARGET", "METRICS_PORT"}
    names = {name.upper() for name in settings.model_fields} - decided_by_the_stack
    assert len(names) > 5
    assert caller.settings(dict.fromkeys(names, "x")).keys() == names


def test_logs_of_what_does_not_run_are_shown_and_not_followed(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = places.logs / "gateway.log"
    log.touch()
    called: list[str] = []
    monkeypatch.setattr(os, "execvp", lambda _, arguments: called.extend(arguments))
    cli._follow_logs(places, "*")
    assert called == ["tail", "-n", "20", str(log)]
    assert capsys.readouterr().out.startswith("FlickrHub isn't running here")


def test_every_port_is_the_callers_to_set() -> None:
    asked = {variable: str(port) for port, variable in enumerate(ports.DEFAULTS, start=40_000)}
    assert {variable: str(port) for variable, port in ports.chosen(caller.settings(asked)).items()} == asked


def test_a_mongod_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(executables, "SEARCH_PATH", str(tmp_path))
    assert executables.mongod() != str(broken)
    broken.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    assert executables.mongod() == str(broken)
