"""RabbitMQ's objects are the topology that the services declare, to the letter."""

import re
from typing import Any

import pytest

from deploy.k8s.generate import ROOT, Declared, documents
from flickrhub_common import topology
from flickrhub_executor.settings import ExecutorSettings
from tests.k8s.objects import named, of_kind, selects
from tests.k8s.rendering import Object
from tests.unit.k8s.rendered import prod

PODS = {"app.kubernetes.io/name": "rabbitmq", "app.kubernetes.io/component": "rabbitmq"}
"""Labels that the cluster operator gives to the pods of a cluster of this name."""
CONSUMER_TIMEOUT = re.compile(r"^consumer_timeout = (\d+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def declared() -> Declared:
    return Declared.by_the_services()


def _specs(kind: str) -> list[Any]:
    return [each["spec"] for each in of_kind(prod(), kind)]


def test_every_exchange_is_there_as_it_is_declared(declared: Declared) -> None:
    assert {each["name"]: each["type"] for each in _specs("Exchange")} == declared.exchanges
    assert len(_specs("Exchange")) == len(declared.exchanges)


def test_every_queue_is_there_with_the_arguments_it_is_declared_with(declared: Declared) -> None:
    found = {each["name"]: {"x-queue-type": each["type"], **each["arguments"]} for each in _specs("Queue")}
    assert found == declared.queues
    assert len(_specs("Queue")) == len(declared.queues)
    assert set(topology.WORK_QUEUES) | set(topology.DEAD_LETTER_QUEUES) < set(found)


def test_every_binding_is_there(declared: Declared) -> None:
    found = [
        (each["source"], each["destinationType"], each["destination"], each["routingKey"]) for each in _specs("Binding")
    ]
    assert sorted(found) == sorted(declared.bindings)


def test_all_is_durable_and_in_the_vhost_of_the_one_cluster() -> None:
    (cluster,) = of_kind(prod(), "RabbitmqCluster")
    (vhost,) = _specs("Vhost")
    things = [*_specs("Exchange"), *_specs("Queue"), *_specs("Binding"), *_specs("Permission")]
    assert {each["vhost"] for each in things} == {vhost["name"]}
    assert all(each["durable"] for each in (*_specs("Exchange"), *_specs("Queue")))
    own: list[Object] = [each for each in prod() if each["apiVersion"] == "rabbitmq.com/v1beta1"]
    references = {each["metadata"]["name"]: each["spec"].get("rabbitmqClusterReference") for each in own}
    assert references.pop(cluster["metadata"]["name"]) is None
    assert {str(each) for each in references.values()} == {str({"name": cluster["metadata"]["name"]})}


def test_no_job_goes_with_an_object_that_is_deleted() -> None:
    assert {each["deletionPolicy"] for each in (*_specs("Queue"), *_specs("Vhost"))} == {"retain"}


def test_the_cluster_outlives_the_loss_of_one_node() -> None:
    (cluster,) = _specs("RabbitmqCluster")
    assert cluster["replicas"] == 3
    (apart,) = cluster["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert cluster["resources"]["requests"] == cluster["resources"]["limits"]
    budget = named(prod(), "PodDisruptionBudget")["rabbitmq"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert selects(budget["selector"], PODS)


def test_a_long_upload_is_not_taken_from_its_executor() -> None:
    (cluster,) = _specs("RabbitmqCluster")
    timeout = CONSUMER_TIMEOUT.search(cluster["rabbitmq"]["additionalConfig"])
    assert timeout is not None
    longest = max(
        each.le for each in ExecutorSettings.model_fields["upload_timeout_seconds"].metadata if hasattr(each, "le")
    )
    assert int(timeout[1]) / 1000 > longest


def test_whoever_only_looks_can_change_nothing() -> None:
    allowed = {each["userReference"]["name"]: each["permissions"] for each in _specs("Permission")}
    assert allowed == {
        "rabbitmq-services": {"configure": ".*", "write": ".*", "read": ".*"},
        "rabbitmq-monitor": {"configure": "^$", "write": "^$", "read": ".*"},
    }
    tags = {name: each["spec"].get("tags", []) for name, each in named(prod(), "User").items()}
    assert tags == {"rabbitmq-services": [], "rabbitmq-monitor": ["monitoring"]}


@pytest.mark.parametrize(("name", "text"), list(documents()), ids=[name for name, _ in documents()])
def test_a_generated_manifest_is_current(name: str, text: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} is out of date: run `make docs`"
