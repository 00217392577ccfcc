"""What pods are told is what the services read, and no secret is told but by a file."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings
from yarl import URL

from deploy.k8s import dev_secrets
from deploy.local.stack.service_settings import SETTINGS, ensure_usable
from flickr_sim.settings import Settings as SimSettings
from flickrhub_common.contracts import Target
from flickrhub_common.settings import InternalSettings
from tests.k8s.objects import NAME, TARGET, config, container, labels, mounted_secrets, named, of_kind, services
from tests.k8s.rendering import K8S, Object
from tests.unit.k8s.rendered import OVERLAYS, dev, overlay, prod

SERVICES = [
    pytest.param(overlay(name), each, id=f"{name}-{own}")
    for name in OVERLAYS
    for own, each in services(overlay(name)).items()
]
MOUNTED_AT = "/run/secrets/flickrhub"
NOT_DEPLOYED = {"upload_s3_secret_access_key"}
"""Secrets of what isn't in the overlays: photos in S3."""


def _settings(deployment: Object) -> type[BaseSettings]:
    return SETTINGS[labels(deployment)[NAME]]


def _secrets(settings: type[BaseSettings]) -> set[str]:
    """Variables that hold secrets."""
    fields = settings.model_fields.items()
    return {name.upper() for name, field in fields if SecretStr in (field.annotation, *_members(field.annotation))}


def _members(annotation: object) -> tuple[object, ...]:
    return getattr(annotation, "__args__", ())


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_every_variable_is_a_setting_of_its_service(objects: tuple[Object, ...], deployment: Object) -> None:
    settings = _settings(deployment)
    known = {name.upper() for name in settings.model_fields}
    shared = {name.upper() for each in SETTINGS.values() for name in each.model_fields}
    hub = next(each["data"] for name, each in named(objects, "ConfigMap").items() if name.startswith("hub-"))
    told = {name.removesuffix("_FILE") for name in config(objects, deployment)}
    assert told - known <= set(hub)
    assert set(hub) <= shared


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_a_service_can_start_with_what_it_is_told(
    objects: tuple[Object, ...], deployment: Object, tmp_path: Path
) -> None:
    told = _with_files_below(tmp_path, config(objects, deployment))
    for secret in dev_secrets.manifests():
        for key, value in secret["stringData"].items():
            (tmp_path / key).write_text(value + "\n", encoding="utf-8")
    ensure_usable(labels(deployment)[NAME], told, folder=tmp_path)


def _with_files_below(folder: Path, told: Mapping[str, str]) -> dict[str, str]:
    return {name: value.replace(MOUNTED_AT, str(folder)) for name, value in told.items()}


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_secrets_come_as_files_and_each_service_has_those_it_reads(
    objects: tuple[Object, ...], deployment: Object
) -> None:
    told = config(objects, deployment)
    secrets = _secrets(_settings(deployment)) - {name.upper() for name in NOT_DEPLOYED}
    if labels(deployment).get(TARGET) == Target.REST:
        secrets -= {"MONGO_URL"}  # it holds no photos
    files = {name.removesuffix("_FILE"): value for name, value in told.items() if name.endswith("_FILE")}
    assert files == {name: f"{MOUNTED_AT}/{name}" for name in secrets}
    assert not secrets & set(told)
    assert {path for _, _, path in mounted_secrets(deployment)} == set(files.values())


def test_a_secret_is_recognised_by_its_type() -> None:
    assert _secrets(InternalSettings) == {"INTERNAL_API_TOKEN"}
    assert "MONGO_URL" in _secrets(SETTINGS["executor"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_among_the_objects(name: str) -> None:
    assert of_kind(overlay(name), "Secret") == []
    assert not re.search(r"://[^\s\"'/{]*:[^\s\"'/{]+@", json.dumps(overlay(name)))


def test_no_file_could_put_a_secret_among_the_objects() -> None:
    sources = [path for path in K8S.rglob("*") if path.suffix in {".yaml", ".yml", ".env", ".json"}]
    assert len(sources) > 30
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^kind: Secret$|secretGenerator|stringData", text, re.MULTILINE), path


def test_production_has_every_secret_from_the_store_with_just_the_keys_that_are_read() -> None:
    read: dict[str, set[str]] = {}
    for deployment in services(prod()).values():
        for secret, key, _ in mounted_secrets(deployment):
            read.setdefault(secret, set()).add(key)
    for authentication in of_kind(prod(), "TriggerAuthentication"):
        for each in authentication["spec"]["secretTargetRef"]:
            read.setdefault(each["name"], set()).add(each["key"])
    for user in of_kind(prod(), "User"):
        read[user["spec"]["importCredentialsSecret"]["name"]] = {"username", "password"}
    kept = {
        each["spec"]["target"]["name"]: {row["secretKey"] for row in each["spec"]["data"]}
        for each in of_kind(prod(), "ExternalSecret")
    }
    assert kept == read
    rows = [row for each in of_kind(prod(), "ExternalSecret") for row in each["spec"]["data"]]
    assert [row for row in rows if row["remoteRef"]["property"] != row["secretKey"]] == []


def test_users_of_rabbitmq_have_secrets_that_its_operator_may_read() -> None:
    secrets = named(prod(), "ExternalSecret")
    for user in of_kind(prod(), "User"):
        target = secrets[user["spec"]["importCredentialsSecret"]["name"]]["spec"]["target"]
        assert target["template"]["metadata"]["labels"] == {"rabbitmq.com/topology-operator": "true"}


def test_a_small_cluster_gets_every_secret_it_mounts_and_no_two_have_the_same() -> None:
    mounted: dict[str, set[str]] = {}
    for workload in (*services(dev()).values(), *of_kind(dev(), "StatefulSet")):
        for volume in workload["spec"]["template"]["spec"]["volumes"]:
            for item in volume.get("secret", {}).get("items", []):
                mounted.setdefault(volume["secret"]["secretName"], set()).add(item["key"])
    made = {each["metadata"]["name"]: set(each["stringData"]) for each in dev_secrets.manifests()}
    assert made == mounted
    assert {each["metadata"]["namespace"] for each in (*dev_secrets.manifests(), *services(dev()).values())} == {
        dev_secrets.NAMESPACE
    }
    assert dev_secrets.manifests() != dev_secrets.manifests()


def test_the_stores_of_a_small_cluster_know_whom_the_services_say_they_are() -> None:
    made = {each["metadata"]["name"]: each["stringData"] for each in dev_secrets.manifests()}
    rabbit, mongo, redis = (URL(made["flickrhub-auth"][f"{name}_URL"]) for name in ("RABBIT", "MONGO", "REDIS"))
    assert made["flickrhub-rabbitmq"]["rabbitmq.conf"].splitlines() == [
        f"default_user = {rabbit.user}",
        f"default_pass = {rabbit.password}",
        f"default_vhost = {rabbit.path.removeprefix('/')}",
    ]
    # The image makes this user in `admin`.
    assert (made["flickrhub-mongodb"], mongo.query["authSource"]) == (
        {"username": mongo.user, "password": mongo.password},
        "admin",
    )
    assert made["flickrhub-redis"]["redis.conf"] == f"requirepass {redis.password}\n"
    assert {rabbit.host, mongo.host, redis.host} <= set(named(dev(), "Service"))


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_ports_are_those_the_service_listens_on(objects: tuple[Object, ...], deployment: Object) -> None:
    settings = _settings(deployment)
    told = config(objects, deployment)
    ports = {port["name"]: port["containerPort"] for port in container(deployment)["ports"]}
    assert ports["http"] == int(told.get("PORT", settings.model_fields["port"].default))
    if "metrics_port" in settings.model_fields:
        assert ports["metrics"] == int(told.get("METRICS_PORT", settings.model_fields["metrics_port"].default))


@pytest.mark.parametrize("name", OVERLAYS)
def test_auth_is_asked_where_it_is(name: str) -> None:
    (port,) = [
        each["port"] for each in named(overlay(name), "Service")["auth"]["spec"]["ports"] if each["name"] == "http"
    ]
    told = {own: config(overlay(name), each).get("AUTH_URL") for own, each in services(overlay(name)).items()}
    asks = {own for own, each in services(overlay(name)).items() if "auth_url" in _settings(each).model_fields}
    assert told == {own: f"http://auth:{port}" if own in asks else None for own in told}
    assert len(asks) == 4


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_target_has_one_executor(name: str) -> None:
    targets = {
        own: config(overlay(name), each)["TARGET"]
        for own, each in services(overlay(name)).items()
        if labels(each)[NAME] == "executor"
    }
    assert targets == {f"executor-{target.value}": target.value for target in Target}


def test_a_small_cluster_asks_the_simulator_and_production_does_not() -> None:
    simulator = named(dev(), "Deployment")["flickr-sim"]
    told = {each["name"]: each["value"] for each in container(simulator)["env"]}
    assert {name.removeprefix("SIM_").lower() for name in told} <= set(SimSettings.model_fields)
    port = SimSettings.model_fields["port"].default
    assert container(simulator)["ports"] == [{"name": "http", "containerPort": port}]
    for name in ("auth", "executor-rest", "executor-upload"):
        asked = config(dev(), services(dev())[name])
        assert (asked["MOCK_FLICKR"], asked["FLICKR_SIM_URL"]) == ("true", f"http://flickr-sim:{port}")
        assert "MOCK_FLICKR" not in config(prod(), services(prod())[name])
    assert "flickr-sim" not in named(prod(), "Deployment")
