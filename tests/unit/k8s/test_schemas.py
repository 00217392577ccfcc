"""Every object is one that Kubernetes and the operators take."""

import copy
from collections.abc import Callable

import pytest

from tests.k8s import rendering
from tests.k8s.objects import container, named
from tests.k8s.rendering import COMPONENTS, OVERLAYS, Object
from tests.k8s.validation import VERSIONS, errors
from tests.unit.k8s.rendered import overlay, prod


def test_there_are_the_overlays_and_components_that_are_promised() -> None:
    assert OVERLAYS == ("dev", "prod")
    assert {"keda", "hpa", "rabbitmq", "monitoring"} <= set(COMPONENTS)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_of_an_overlay_is_valid(name: str) -> None:
    assert _wrong(overlay(name)) == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_object_of_the_base_with_one_component_is_valid(name: str) -> None:
    assert _wrong(rendering.component(name)) == []


def _wrong(objects: tuple[Object, ...]) -> list[str]:
    return [line for each in objects for version in VERSIONS for line in errors(each, version)]


def _port_as_text(deployment: Object) -> None:
    container(deployment)["ports"][0]["containerPort"] = "3000"


def _unknown_field(deployment: Object) -> None:
    container(deployment)["readynessProbe"] = {}


def _nothing(deployment: Object) -> None:
    deployment["spec"]["replicas"] = None


def _other_version(deployment: Object) -> None:
    deployment["apiVersion"] = "apps/v2"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("spoil", [_port_as_text, _unknown_field, _nothing, _other_version])
def test_a_wrong_deployment_is_found(spoil: Callable[[Object], None], version: str) -> None:
    deployment = copy.deepcopy(named(prod(), "Deployment")["gateway"])
    spoil(deployment)
    assert errors(deployment, version)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("ScaledObject", "maxReplicas", 3),
        ("ScaledObject", "maxReplicaCount", "3"),
        ("Queue", "type", "mirrored"),
        ("Queue", "arguments", {"x-delivery-limit": None}),
        ("RabbitmqCluster", "replicaCount", 3),
        ("ServiceMonitor", "endpoints", []),
        ("PrometheusRule", "groups", [{"name": "a", "rules": [{"alert": "NoExpression"}]}]),
        ("ExternalSecret", "data", [{"secretKey": "A"}]),
    ],
)
def test_a_wrong_custom_resource_is_found(kind: str, field: str, value: object) -> None:
    thing = copy.deepcopy(next(each for each in prod() if each["kind"] == kind))
    thing["spec"][field] = value
    assert errors(thing, VERSIONS[-1])
