"""What is scaled by what, and how far."""

import math
import re
from typing import Any

import pytest

from flickrhub_common.contracts import Target, queue_of
from flickrhub_executor.settings import ExecutorSettings
from tests.k8s.objects import config, container, named, of_kind, services
from tests.k8s.rendering import K8S, Object
from tests.unit.k8s.rendered import dev, prod


def _scaled(target: Target) -> Object:
    return named(prod(), "ScaledObject")[f"executor-{target.value}"]


def _settings(target: Target) -> ExecutorSettings:
    """As the executor has them in production, but for the secrets."""
    told = config(prod(), services(prod())[f"executor-{target.value}"])
    fields: dict[str, Any] = {name.lower(): value for name, value in told.items() if not name.endswith("_FILE")}
    return ExecutorSettings(**fields, internal_api_token="x" * 16, mongo_url="mongodb://nowhere")


def test_each_target_is_scaled_by_itself() -> None:
    assert set(named(prod(), "ScaledObject")) == {f"executor-{target.value}" for target in Target}


@pytest.mark.parametrize("target", Target)
def test_an_executor_is_scaled_by_its_own_queue_with_what_is_in_hand(target: Target) -> None:
    scaled = _scaled(target)["spec"]
    assert scaled["scaleTargetRef"] == {"name": f"executor-{target.value}"}
    (trigger,) = scaled["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("rabbitmq", "AverageValue")
    asked = trigger["metadata"]
    # Only the management API counts what executors have in hand.
    assert (asked["protocol"], asked["mode"], asked["excludeUnacknowledged"]) == ("http", "QueueLength", "false")
    assert asked["queueName"] == queue_of(target)
    assert asked["vhostName"] == next(each["spec"]["name"] for each in of_kind(prod(), "Vhost"))
    assert float(asked["value"]) == 2 * _settings(target).concurrency()


@pytest.mark.parametrize("target", Target)
def test_there_are_no_more_executors_than_flickrs_budget_can_use(target: Target) -> None:
    scaled = _scaled(target)
    given = {name.removeprefix("flickrhub/"): value for name, value in scaled["metadata"]["annotations"].items()}
    settings = _settings(target)
    calls_a_second = int(given["api-keys"]) * settings.flickr_rate_limit_per_hour / 3600
    at_once = calls_a_second * float(given["share-of-budget"]) * float(given["seconds-a-call"])
    assert scaled["spec"]["maxReplicaCount"] == math.ceil(at_once / settings.concurrency())
    assert 1 <= scaled["spec"]["minReplicaCount"] <= scaled["spec"]["maxReplicaCount"]


@pytest.mark.parametrize("target", Target)
def test_the_arithmetic_is_shown_and_ends_where_the_object_does(target: Target) -> None:
    text = (K8S / "components" / "keda" / f"executor-{target.value}.yaml").read_text(encoding="utf-8")
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    settings = _settings(target)
    keys = _scaled(target)["metadata"]["annotations"]["flickrhub/api-keys"]
    assert f"{keys} api keys · {settings.flickr_rate_limit_per_hour:,} calls an hour" in comment
    assert f"/ {settings.concurrency()} at once in one executor" in comment
    shown = re.search(r"rounded up += ([0-9]+)", comment)
    assert shown is not None
    assert int(shown[1]) == _scaled(target)["spec"]["maxReplicaCount"]


def test_executors_stay_when_rabbitmqs_api_is_away() -> None:
    for target in Target:
        fallback = _scaled(target)["spec"]["fallback"]
        assert fallback["behavior"] == "currentReplicasIfHigher"
        assert fallback["replicas"] >= _scaled(target)["spec"]["minReplicaCount"]


def test_keda_knows_rabbitmq_by_a_secret_of_its_own() -> None:
    (authentication,) = of_kind(prod(), "TriggerAuthentication")
    named_there = {each["parameter"]: each["name"] for each in authentication["spec"]["secretTargetRef"]}
    assert named_there == dict.fromkeys(("host", "username", "password"), "flickrhub-keda")
    for target in Target:
        (trigger,) = _scaled(target)["spec"]["triggers"]
        assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}


def test_gateway_and_notifier_are_scaled_by_processor_time() -> None:
    scaled = named(prod(), "HorizontalPodAutoscaler")
    assert set(scaled) == {"gateway", "notifier"}
    for name, each in scaled.items():
        spec = each["spec"]
        assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        (metric,) = spec["metrics"]
        assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
        assert "cpu" in container(services(prod())[name])["resources"]["requests"]


def test_who_is_scaled_has_no_number_of_replicas_of_its_own() -> None:
    scaled = {*named(prod(), "ScaledObject"), *named(prod(), "HorizontalPodAutoscaler")}
    replicas = {name: each["spec"].get("replicas") for name, each in services(prod()).items()}
    # Else every apply would put it back.
    assert replicas == {name: None if name in scaled else 2 for name in replicas}
    assert scaled == set(replicas) - {"auth"}


def test_a_small_cluster_has_one_of_each() -> None:
    assert of_kind(dev(), "ScaledObject", "HorizontalPodAutoscaler") == []
    assert {each["spec"].get("replicas", 1) for each in services(dev()).values()} == {1}
