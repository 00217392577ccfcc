"""What every pod is and isn't allowed, and how it starts, is watched and stops."""

import re

import pytest
import yaml

from deploy.k8s.generate import ROOT
from deploy.local.stack import redis as local_redis
from flickrhub_common.health import CHECK_SECONDS
from tests.k8s.objects import config, container, labels, named, of_kind, pod, services, workloads
from tests.k8s.rendering import Object
from tests.support import dockerfile
from tests.unit.k8s.rendered import OVERLAYS, dev, overlay, prod

PODS = [pytest.param(each, id=f"{name}-{own}") for name in OVERLAYS for own, each in workloads(overlay(name)).items()]
SERVICES = [
    pytest.param(overlay(name), each, id=f"{name}-{own}")
    for name in OVERLAYS
    for own, each in services(overlay(name)).items()
]
DURABLE = ("appendonly ", "appendfsync ", "save ", "maxmemory-policy ")
SURE_SECONDS = 10
"""By which Kubernetes' patience is longer than the time in which a process has ended by itself."""


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_refuses_whatever_is_not_restricted(name: str) -> None:
    (namespace,) = of_kind(overlay(name), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].get("namespace") for each in overlay(name)} == {None, namespace["metadata"]["name"]}
    assert [each["kind"] for each in overlay(name) if "namespace" not in each["metadata"]] == ["Namespace"]


@pytest.mark.parametrize("workload", PODS)
def test_a_pod_is_restricted(workload: Object) -> None:
    spec = pod(workload)
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 999
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(workload)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("hostPort" not in port for port in container(workload)["ports"])


@pytest.mark.parametrize("workload", PODS)
def test_a_pod_can_read_the_secrets_that_are_mounted_for_its_group(workload: Object) -> None:
    context = pod(workload)["securityContext"]
    assert context["runAsGroup"] == context["runAsUser"]
    if any("secret" in volume for volume in pod(workload)["volumes"]):
        assert context["fsGroup"] == context["runAsGroup"]


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_a_service_runs_as_its_images_user(objects: tuple[Object, ...], deployment: Object) -> None:
    context = pod(deployment)["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == dockerfile.last("gateway", "USER").text


@pytest.mark.parametrize("target", ["upload", "replace"])
def test_an_executor_of_photos_has_room_for_the_photos_it_fetches(target: str) -> None:
    deployment = services(prod())[f"executor-{target}"]
    (room,) = [each["emptyDir"]["sizeLimit"] for each in pod(deployment)["volumes"] if each["name"] == "tmp"]
    gibibytes = int(room.removesuffix("Gi"))
    assert gibibytes > 16, "sixteen jobs at once, 1 GiB each"
    assert int(container(deployment)["resources"]["limits"]["ephemeral-storage"].removesuffix("Gi")) > gibibytes


@pytest.mark.parametrize("workload", PODS)
def test_a_pod_can_write_nowhere_but_into_folders_of_its_own(workload: Object) -> None:
    claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
    volumes = {each["name"]: each for each in pod(workload)["volumes"]}
    kinds = {name: next(kind for kind in each if kind != "name") for name, each in volumes.items()}
    assert set(kinds.values()) <= {"secret", "configMap", "emptyDir"}
    assert all(each["emptyDir"].get("sizeLimit") for each in volumes.values() if "emptyDir" in each)
    assert all(each["secret"]["defaultMode"] == 0o440 for each in volumes.values() if "secret" in each)
    for mount in container(workload)["volumeMounts"]:
        assert mount["name"] in claims or kinds[mount["name"]] == "emptyDir" or mount["readOnly"] is True


@pytest.mark.parametrize("workload", PODS)
def test_a_pod_says_what_it_needs_and_what_it_may_have(workload: Object) -> None:
    resources = container(workload)["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"])
    assert set(resources["limits"]) == set(resources["requests"])


@pytest.mark.parametrize("workload", PODS)
def test_a_pod_has_no_way_into_kubernetes_and_no_variables_of_other_services(workload: Object) -> None:
    assert pod(workload)["automountServiceAccountToken"] is False
    assert pod(workload)["enableServiceLinks"] is False


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_a_service_has_an_account_of_its_own(objects: tuple[Object, ...], deployment: Object) -> None:
    name = deployment["metadata"]["name"]
    assert pod(deployment)["serviceAccountName"] == name
    assert named(objects, "ServiceAccount")[name]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_a_service_is_watched_where_it_can_be_asked(objects: tuple[Object, ...], deployment: Object) -> None:
    service = container(deployment)
    asked = {probe: service[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
    assert asked == {
        "startup": {"path": "/health", "port": "http"},
        "liveness": {"path": "/health", "port": "metrics"},
        "readiness": {"path": "/health/ready", "port": "http"},
    }
    assert {port["name"] for port in service["ports"]} == {"http", "metrics"}
    assert service["readinessProbe"]["timeoutSeconds"] > CHECK_SECONDS
    assert service["readinessProbe"]["periodSeconds"] <= 10
    assert service["startupProbe"]["periodSeconds"] * service["startupProbe"]["failureThreshold"] >= 60
    # A process that is only slow for a while isn't killed.
    assert service["livenessProbe"]["periodSeconds"] * service["livenessProbe"]["failureThreshold"] >= 30


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_a_service_is_given_longer_to_stop_than_it_takes(objects: tuple[Object, ...], deployment: Object) -> None:
    grace = float(config(objects, deployment)["SHUTDOWN_GRACE_SECONDS"])
    before = container(deployment).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod(deployment)["terminationGracePeriodSeconds"] >= grace + before + SURE_SECONDS


@pytest.mark.parametrize("name", ["gateway", "auth"])
def test_who_is_asked_by_others_leaves_their_lists_before_it_stops(name: str) -> None:
    assert container(services(prod())[name])["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5


@pytest.mark.parametrize(("objects", "deployment"), SERVICES)
def test_a_new_version_is_ready_before_an_old_one_goes(objects: tuple[Object, ...], deployment: Object) -> None:
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert deployment["spec"]["minReadySeconds"] > 0


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_drain_takes_one_pod_of_a_service_at_a_time(name: str) -> None:
    pods = {own: labels(each) for own, each in workloads(overlay(name)).items()}
    budgets = named(overlay(name), "PodDisruptionBudget")
    budgets.pop("rabbitmq", None)  # whose pods are its operator's
    assert set(budgets) == set(services(overlay(name)))
    for own, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in budget["spec"]
        selected = budget["spec"]["selector"]["matchLabels"].items()
        assert [each for each, has in pods.items() if selected <= has.items()] == [own]


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_service_is_found_under_its_own_name_and_nothing_else_is(name: str) -> None:
    pods = {own: labels(each) for own, each in workloads(overlay(name)).items()}
    found = named(overlay(name), "Service")
    assert set(found) == set(pods)
    for own, service in found.items():
        selected = service["spec"]["selector"].items()
        assert [each for each, has in pods.items() if selected <= has.items()] == [own]
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"
        ports = {port["name"]: port["containerPort"] for port in container(workloads(overlay(name))[own])["ports"]}
        assert {each["targetPort"]: each["port"] for each in service["spec"]["ports"]} == ports


def test_production_runs_what_was_released_and_nothing_else() -> None:
    images = [container(each)["image"] for each in workloads(prod()).values()]
    images += [each["spec"]["image"] for each in of_kind(prod(), "RabbitmqCluster")]
    assert len(images) == 7
    assert [each for each in images if not re.fullmatch(r"[a-z0-9./:-]+@sha256:[0-9a-f]{64}", each)] == []


def test_the_stores_of_a_small_cluster_are_those_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    used = {name: container(each)["image"] for name, each in named(dev(), "StatefulSet").items()}
    names = {"rabbitmq": "rabbitmq", "mongodb": "mongo", "redis": "redis"}
    assert used == {name: compose[there]["image"] for name, there in names.items()}
    (cluster,) = of_kind(prod(), "RabbitmqCluster")
    assert cluster["spec"]["image"].partition("@")[0] == used["rabbitmq"]


def test_rabbitmqs_cookie_stays_its_owners_alone_when_a_small_cluster_mounts_its_volume_again() -> None:
    assert pod(named(dev(), "StatefulSet")["rabbitmq"])["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_the_stores_of_a_small_cluster_read_their_secrets_and_keep_what_they_are_given() -> None:
    stores = {name: container(each) for name, each in named(dev(), "StatefulSet").items()}
    data = {
        name: {m["mountPath"] for m in each["volumeMounts"] if m["name"] == "data"} for name, each in stores.items()
    }
    assert data == {"rabbitmq": {"/var/lib/rabbitmq"}, "mongodb": {"/data/db"}, "redis": {"/data"}}
    read = {m["mountPath"]: m.get("subPath") for each in stores.values() for m in each["volumeMounts"]}
    assert read["/etc/rabbitmq/conf.d/90-user.conf"] == "rabbitmq.conf"
    told = " ".join(word or '""' for word in stores["redis"]["args"]).split(" --")
    wanted = [line for line in local_redis.CONFIGURATION.splitlines() if line.startswith(DURABLE)]
    assert len(wanted) == len(DURABLE)
    assert {*wanted, "dir /data", "include /run/secrets/redis/redis.conf"} <= set(told)


def test_a_small_cluster_runs_named_versions() -> None:
    images = [container(each)["image"] for each in workloads(dev()).values()]
    assert [each for each in images if not re.fullmatch(r"[a-z/-]+:(?!latest)[a-z0-9.-]+", each)] == []


def test_production_spreads_each_service_by_itself_over_nodes_and_zones() -> None:
    for deployment in services(prod()).values():
        spread = pod(deployment)["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        for each in spread:
            assert each["labelSelector"]["matchLabels"].items() <= labels(deployment).items()
            narrowed = {"app.kubernetes.io/name", "flickrhub/target", "pod-template-hash"}
            assert set(each["matchLabelKeys"]) == narrowed
