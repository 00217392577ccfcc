"""What docker-compose.yml promises, each of it so that breaking it fails a test."""

import copy
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic_settings import BaseSettings

from deploy.local.stack import redis as local_redis
from deploy.local.stack.plan import SERVICES as PROCESSES
from deploy.local.stack.service_settings import SETTINGS, ensure_usable
from flickrhub_common.contracts import Target
from flickrhub_common.settings import Settings
from tests.support import compose_file, dockerfile
from tests.support.compose_file import ROOT

OURS = (*PROCESSES, "flickr-sim")
SERVERS = {"rabbitmq": "4", "mongo": "8", "redis": "8"}
WATCHING = {"otel-collector", "prometheus", "grafana"}
SERVER_OF = {"RABBIT_URL_FILE": "rabbitmq", "MONGO_URL_FILE": "mongo", "REDIS_URL_FILE": "redis", "AUTH_URL": "auth"}
DATA = {"rabbitmq": "/var/lib/rabbitmq", "mongo": "/data/db", "redis": "/data"}
EVERYTHING = (*OURS, *SERVERS, *sorted(WATCHING))
Services = dict[str, dict[str, Any]]


def schema() -> Any:
    """The compose specification's own schema, as check-jsonschema carries it."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(vendored.read_text(encoding="utf-8"))


def settings_of(service: str) -> type[BaseSettings]:
    return SETTINGS[service.partition("-")[0]]


def image_of(service: str) -> str:
    """What ARG SERVICE is for it."""
    return "executor" if service.startswith("executor-") else service


def seconds(duration: str) -> int:
    assert re.fullmatch(r"\d+s", duration)
    return int(duration[:-1])


def test_it_is_a_compose_file(document: dict[str, Any]) -> None:
    jsonschema.validate(document, schema())


def test_the_schema_would_see_a_mistake(document: dict[str, Any]) -> None:
    broken = copy.deepcopy(document)
    broken["services"]["gateway"]["enviroment"] = {}
    with pytest.raises(jsonschema.ValidationError, match="enviroment"):
        jsonschema.validate(broken, schema())


def test_it_is_the_hub_its_servers_and_two_profiles(services: Services) -> None:
    assert set(services) == set(EVERYTHING)
    profiles = {name: one.get("profiles", []) for name, one in services.items()}
    assert {name for name, given in profiles.items() if given == ["mock"]} == {"flickr-sim"}
    assert {name for name, given in profiles.items() if given == ["observability"]} == WATCHING
    assert {name for name, given in profiles.items() if not given} == {*PROCESSES, *SERVERS}


def test_each_target_has_one_executor(services: Services) -> None:
    targets = [one["environment"].get("TARGET") for name, one in services.items() if name.startswith("executor-")]
    assert sorted(targets) == sorted(Target)


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_of_its_service(services: Services, service: str) -> None:
    settings = settings_of(service)
    prefix = str(settings.model_config.get("env_prefix", ""))
    fields = {f"{prefix}{name.upper()}": field for name, field in settings.model_fields.items()}
    for variable in services[service]["environment"]:
        field = fields[variable.removesuffix("_FILE")]
        assert ("SecretStr" in str(field.annotation)) == variable.endswith("_FILE"), variable


@pytest.mark.parametrize("service", OURS)
def test_every_service_would_start_with_what_it_is_given(
    services: Services, secrets: Path, tmp_path: Path, service: str
) -> None:
    mounted = {one["target"]: str(secrets / one["source"]) for one in services[service].get("secrets", [])}
    environment = {name: mounted.get(value, value) for name, value in services[service]["environment"].items()}
    ensure_usable(service, environment, folder=tmp_path)


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_given_the_secrets_it_reads_and_no_other(services: Services, service: str) -> None:
    read = {v for n, v in services[service]["environment"].items() if n.endswith("_FILE")}
    assert {one["target"] for one in services[service].get("secrets", [])} == read
    for one in services[service].get("secrets", []):
        assert one["target"] == f"/run/secrets/flickrhub/{one['source'].upper()}"


def test_executors_for_rest_and_the_notifier_get_no_more_than_they_need(services: Services) -> None:
    given = {name: {one["source"] for one in services[name]["secrets"]} for name in PROCESSES}
    assert given["executor-rest"] == {"rabbit_url", "redis_url", "internal_api_token"}
    assert given["notifier"] == {"rabbit_url", "mongo_url", "redis_url", "encryption_keys"}
    assert not [name for name in PROCESSES if name.startswith("executor-") and "encryption_keys" in given[name]]


def test_a_setting_can_be_given_in_one_file_beside_it(services: Services) -> None:
    assert all(services[name]["env_file"] == [{"path": ".env", "required": False}] for name in OURS)


def test_no_password_stands_in_the_file() -> None:
    for name, one in compose_file.raw()["services"].items():
        for variable, value in one.get("environment", {}).items():
            if re.search("PASS|SECRET|TOKEN|KEY|RABBIT_URL|MONGO_URL|REDIS_URL", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.startswith("/run/secrets/")
    text = compose_file.FILE.read_text(encoding="utf-8")
    assert not re.search(r"://[^/\s\"]*:[^/\s\"]*@", text)
    assert not re.search(r"--?(requirepass|password|pass)\b", text, re.IGNORECASE)


def test_variables_have_defaults_but_where_the_secrets_are() -> None:
    asked = re.findall(r"\$\{([A-Z_]+):\?", compose_file.FILE.read_text(encoding="utf-8"))
    assert set(asked) == {"FLICKRHUB_SECRETS"}
    fields = {name.upper() for settings in SETTINGS.values() for name in settings.model_fields}
    own = {"FLICKRHUB_SECRETS", "FLICKRHUB_VERSION", "GATEWAY_ADDRESS", "GATEWAY_PORT"}
    assert compose_file.variables() - fields == own | {"SIM_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"}


@pytest.mark.parametrize("service", EVERYTHING)
def test_nothing_has_more_rights_than_it_needs(services: Services, service: str) -> None:
    one = services[service]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(one)
    assert int(one["user"].partition(":")[0]) > 0
    if service in OURS:
        assert (one["user"], one["read_only"]) == ("1000:1000", True)


@pytest.mark.parametrize("service", EVERYTHING)
def test_everything_is_limited_and_comes_back(services: Services, service: str) -> None:
    assert {"cpus", "memory", "pids"} == set(services[service]["deploy"]["resources"]["limits"])
    assert services[service]["restart"] == "unless-stopped"
    assert services[service]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("service", OURS)
def test_a_service_has_time_to_finish_what_it_has_in_hand(services: Services, service: str) -> None:
    default = Settings.model_fields["shutdown_grace_seconds"].default
    grace = float(services[service]["environment"].get("SHUTDOWN_GRACE_SECONDS", default))
    assert seconds(services[service]["stop_grace_period"]) >= grace + 10


@pytest.mark.parametrize("service", ["executor-upload", "executor-replace"])
def test_photos_are_given_the_time_that_kubernetes_gives_them(services: Services, service: str) -> None:
    text = (ROOT / "deploy/k8s/base/executor/photos/kustomization.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(text)["configMapGenerator"][0]["literals"]
    assert told == [f"SHUTDOWN_GRACE_SECONDS={services[service]['environment']['SHUTDOWN_GRACE_SECONDS']}"]


@pytest.mark.parametrize("service", OURS)
def test_our_images_are_built_here_and_the_simulators_is_no_other(services: Services, service: str) -> None:
    name = image_of(service)
    version = next(one.text.removeprefix("VERSION=") for one in dockerfile.image(name) if "VERSION=" in one.text)
    assert services[service]["image"] == f"flickrhub/{name}:{version}"
    assert services[service]["build"] == {"context": ".", "args": {"SERVICE": name}}


@pytest.mark.parametrize("service", [*SERVERS, *sorted(WATCHING)])
def test_images_of_others_are_pinned(services: Services, service: str) -> None:
    tag = services[service]["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+", tag), tag
    if service in SERVERS:
        assert tag.partition(".")[0] == SERVERS[service]


@pytest.mark.parametrize("service", sorted(set(EVERYTHING) - {"otel-collector"}))
def test_everything_is_asked_whether_it_is_well(services: Services, service: str) -> None:
    # The collector's image holds nothing that could ask.
    check = services[service]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert all(seconds(check[name]) for name in ("interval", "timeout", "start_period"))


@pytest.mark.parametrize("service", PROCESSES)
def test_a_service_is_well_when_it_is_ready(services: Services, service: str) -> None:
    image = json.loads(dockerfile.last(image_of(service), "HEALTHCHECK").text.partition(" CMD ")[2])
    assert services[service]["healthcheck"]["test"] == ["CMD", *image, "/health/ready"]


@pytest.mark.parametrize("service", OURS)
def test_a_service_waits_until_what_it_needs_is_well(services: Services, service: str) -> None:
    one = services[service]
    waits = one.get("depends_on", {})
    assert all(how["condition"] == "service_healthy" for how in waits.values())
    assert {server for variable, server in SERVER_OF.items() if variable in one["environment"]} <= set(waits)
    if "MOCK_FLICKR" in one["environment"]:
        assert waits["flickr-sim"]["required"] is False, "it is there with the profile mock alone"
    assert all(how.get("required", True) for name, how in waits.items() if name != "flickr-sim")


@pytest.mark.parametrize("service", OURS)
def test_ports_are_those_of_the_images(services: Services, service: str) -> None:
    given, image = services[service]["environment"], dockerfile.environment(image_of(service))
    port = "SIM_PORT" if service == "flickr-sim" else "PORT"
    assert given[port] == image[port]


def test_services_find_each_other(services: Services) -> None:
    for name in PROCESSES:
        given = services[name]["environment"]
        if "auth_url" in settings_of(name).model_fields:
            assert given["AUTH_URL"] == f"http://auth:{services['auth']['environment']['PORT']}"
        if "flickr_sim_url" in settings_of(name).model_fields:
            assert given["FLICKR_SIM_URL"] == f"http://flickr-sim:{services['flickr-sim']['environment']['SIM_PORT']}"


def test_only_this_machine_reaches_what_is_published(services: Services) -> None:
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert set(published) == {"gateway", "flickr-sim", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for given in published.values() for port in given)
    for name in ("gateway", "flickr-sim"):
        inside = services[name]["environment"]["PORT" if name == "gateway" else "SIM_PORT"]
        assert [port.rpartition(":")[2] for port in published[name]] == [inside]


def test_servers_are_on_a_network_that_leads_nowhere(document: dict[str, Any], services: Services) -> None:
    assert document["networks"] == {"hub": {"internal": True}, "outside": {}}
    assert all(services[name]["networks"] == ["hub"] for name in SERVERS)
    assert all(services[name]["networks"] == ["hub", "outside"] for name in {*OURS, *WATCHING})


def test_data_lies_in_named_volumes(document: dict[str, Any], services: Services) -> None:
    mounts = {name: [mount.split(":") for mount in one.get("volumes", [])] for name, one in services.items()}
    for server, folder in DATA.items():
        assert [source for source, target, *_ in mounts[server] if target == folder] == [f"{server}-data"]
    named = [source for given in mounts.values() for source, *_ in given if not source.startswith("./")]
    assert sorted(named) == sorted(document["volumes"]), "each is somebody's alone"


def test_only_executors_that_fetch_photos_write_and_only_to_tmp(services: Services) -> None:
    writable = {name: one.get("volumes", []) + one.get("tmpfs", []) for name, one in services.items() if name in OURS}
    assert {name for name, given in writable.items() if given} == {"executor-upload", "executor-replace"}
    assert all(mount.endswith("-tmp:/tmp") for given in writable.values() for mount in given)


def test_what_is_mounted_from_here_is_there_and_read_only(services: Services) -> None:
    mounts = [mount for one in services.values() for mount in one.get("volumes", []) if mount.startswith("./")]
    assert len(mounts) >= 8
    for mount in mounts:
        source, _, kind = mount.split(":")
        assert (ROOT / source).exists()
        assert kind == "ro"


def test_servers_read_what_is_mounted_for_them(services: Services, secrets: Path) -> None:
    mounts = {name: {each.split(":")[1] for each in services[name]["volumes"]} for name in SERVERS}
    given = {name: {each["target"] for each in services[name]["secrets"] if isinstance(each, dict)} for name in SERVERS}
    for path in (*(each for each in mounts["rabbitmq"] if each.endswith(".conf")), *given["rabbitmq"]):
        assert re.fullmatch(r"/etc/rabbitmq/conf\.d/[^/]+\.conf", path), "elsewhere nobody reads it"
    assert given["rabbitmq"]
    assert services["rabbitmq"]["hostname"] == "rabbitmq"
    assert services["redis"]["command"] == ["redis-server", *(mounts["redis"] - {DATA["redis"]})]
    redis = (ROOT / "deploy/compose/redis.conf").read_text(encoding="utf-8").splitlines()
    assert {"include /run/secrets/redis_conf", f"dir {DATA['redis']}"} <= set(redis)
    assert services["mongo"]["healthcheck"]["test"][-1] in mounts["mongo"]
    user = (secrets / "mongo_url").read_text(encoding="utf-8").partition("//")[2].partition(":")[0]
    init = (ROOT / "deploy/compose/mongo-init.js").read_text(encoding="utf-8")
    assert f'user: "{user}"' in init
    assert f'getSiblingDB("{user}")' in init
    assert f"authSource={user}&" in (secrets / "mongo_url").read_text(encoding="utf-8")


def test_redis_keeps_what_the_local_stacks_keeps() -> None:
    durable = ("appendonly ", "appendfsync ", "save ", "maxmemory-policy ")
    wanted = [line for line in local_redis.CONFIGURATION.splitlines() if line.startswith(durable)]
    given = (ROOT / "deploy/compose/redis.conf").read_text(encoding="utf-8").splitlines()
    assert len(wanted) == len(durable)
    assert set(wanted) <= set(given)


def test_mongo_is_a_replica_set_whose_key_only_mongod_can_read(services: Services) -> None:
    mongo = services["mongo"]
    command = mongo["command"]
    assert command[command.index("--replSet") + 1] in (ROOT / "deploy/compose/mongo-health.js").read_text("utf-8")
    key = command[command.index("--keyFile") + 1]
    assert f"install -m 400 /run/secrets/mongo_keyfile {key};" in mongo["entrypoint"][2]
    assert mongo["entrypoint"][2].endswith('exec docker-entrypoint.sh "$@"')


def test_prometheus_asks_every_service_on_its_metrics_port(services: Services) -> None:
    given = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job for job in given["scrape_configs"]}
    (found,) = jobs["flickrhub"]["dns_sd_configs"]
    assert set(found["names"]) == set(PROCESSES)
    assert found["port"] == Settings.model_fields["metrics_port"].default
    assert not [name for name in PROCESSES if "METRICS_PORT" in services[name]["environment"]]


def test_prometheus_is_given_the_alerts_it_reads(services: Services) -> None:
    given = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text(encoding="utf-8"))
    mounts = dict(mount.split(":")[:2] for mount in services["prometheus"]["volumes"])
    assert [source for source, target in mounts.items() if target in given["rule_files"]] == [
        "./deploy/observability/alerts.yml"
    ]


def test_grafana_is_told_where_prometheus_and_the_dashboards_are(services: Services) -> None:
    folder = ROOT / "deploy/observability/grafana"
    (source,) = yaml.safe_load((folder / "datasources/flickrhub.yml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/flickrhub.yml").read_text(encoding="utf-8"))["providers"]
    assert source["url"] == "http://prometheus:9090"
    assert f"./deploy/observability/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


def test_the_collector_takes_traces_where_services_send_them() -> None:
    given = yaml.safe_load((ROOT / "deploy/observability/otel-collector.yml").read_text(encoding="utf-8"))
    assert given["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    for pipeline in given["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(given[kind])
