"""Who may speak to whom: what all policies together let through, service by service."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.settings import Settings
from tests.k8s import rendering
from tests.k8s.objects import NAME, config, container, labels, named, of_kind, selects, services, workloads
from tests.k8s.rendering import Object
from tests.unit.k8s.rendered import OVERLAYS, dev, overlay, prod

STORES = {"rabbitmq:5672", "rabbitmq:5671", "redis:6379"}
MONGODB = {"mongodb:27017"}
DNS = {"kube-dns:53"}
EGRESS = {
    "gateway": {"auth:3101"} | STORES | MONGODB | DNS,
    "auth": {"world:443"} | STORES | MONGODB | DNS,
    "notifier": {"world:1-65535"} | STORES | MONGODB | DNS,
    "executor-rest": {"auth:3101", "world:443"} | STORES | DNS,
    "executor-upload": {"auth:3101", "world:443", "world:1-65535"} | STORES | MONGODB | DNS,
    "executor-replace": {"auth:3101", "world:443", "world:1-65535"} | STORES | MONGODB | DNS,
}
INGRESS = {
    "gateway": {"flickrhub/ingress:http"},
    "auth": {"gateway:http", "executor:http"},
    "notifier": set(),
    "executor-rest": set(),
    "executor-upload": set(),
    "executor-replace": set(),
}
(OTLP_VARIABLE,) = (name.upper() for name in Settings.model_fields if name.endswith("otlp_endpoint"))
INSIDE = (
    *("0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "168.63.129.16", "169.254.169.254", "172.31.255.255"),
    *("192.0.0.8", "192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("::1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::", "fd00::1", "fe80::1", "fec0::1"),
    "ff02::1",
)


def _policies(objects: Iterable[Object], pod: dict[str, str], direction: str) -> list[Object]:
    return [
        each
        for each in of_kind(objects, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], pod)
    ]


def _let_through(objects: tuple[Object, ...], pod: dict[str, str], direction: str) -> set[str]:
    way, end = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return {
        f"{peer}:{port}"
        for policy in _policies(objects, pod, direction)
        for rule in policy["spec"].get(way, [])
        for port in _ports(rule)
        for each in rule.get(end, [{}])
        for peer in [_peer(each)]
    }


def _ports(rule: Any) -> Iterator[str]:
    for each in rule.get("ports", [{"port": "any"}]):
        yield f"{each['port']}-{each['endPort']}" if "endPort" in each else str(each["port"])


def _peer(peer: Any) -> str:
    """In a word: the name of pods, the label of a namespace, ``world``, or ``anybody``."""
    if "ipBlock" in peer:
        return "world" if peer["ipBlock"]["cidr"] in ("0.0.0.0/0", "::/0") else str(peer["ipBlock"]["cidr"])
    assert "namespaceSelector" not in peer or peer["namespaceSelector"].get("matchLabels"), "pods of every namespace"
    wanted = peer.get("podSelector", {}).get("matchLabels") or peer.get("namespaceSelector", {}).get("matchLabels", {})
    for key in (NAME, "app.kubernetes.io/component", "k8s-app"):
        if key in wanted:
            return str(wanted[key])
    return next(iter(wanted), "anybody")


@pytest.mark.parametrize("name", OVERLAYS)
def test_nobody_speaks_to_anybody_unless_told(name: str) -> None:
    deny = named(overlay(name), "NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_names_are_looked_up_by_both_ways_of_asking(name: str) -> None:
    (rule,) = named(overlay(name), "NetworkPolicy")["dns"]["spec"]["egress"]
    (peer,) = rule["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert {(each["protocol"], each["port"]) for each in rule["ports"]} == {("UDP", 53), ("TCP", 53)}


def test_what_comes_in_goes_to_the_gateway() -> None:
    (ingress,) = of_kind(prod(), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert [each["backend"] for each in rule["http"]["paths"]] == [
        {"service": {"name": "gateway", "port": {"name": "http"}}}
    ]
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]


@pytest.mark.parametrize("service", EGRESS)
def test_a_service_reaches_what_it_needs_and_nothing_else(service: str) -> None:
    pod = labels(services(prod())[service])
    assert _let_through(prod(), pod, "Egress") == EGRESS[service]


@pytest.mark.parametrize("service", INGRESS)
def test_a_service_is_reached_by_those_who_ask_it_and_whoever_scrapes(service: str) -> None:
    pod = labels(services(prod())[service])
    assert _let_through(prod(), pod, "Ingress") == INGRESS[service] | {"flickrhub/monitoring:metrics"}


def test_a_small_cluster_adds_the_simulator_alone() -> None:
    for name, deployment in services(dev()).items():
        added = _let_through(dev(), labels(deployment), "Egress") - EGRESS[name]
        assert added == ({"flickr-sim:3131"} if name.startswith(("auth", "executor")) else set())
        assert _let_through(dev(), labels(deployment), "Ingress") == INGRESS[name]


def test_traces_go_to_the_collector_that_is_named_and_nowhere_else() -> None:
    traced = rendering.component("tracing")
    for name, deployment in services(traced).items():
        added = _let_through(traced, labels(deployment), "Egress") - EGRESS[name]
        endpoint = config(traced, deployment)[OTLP_VARIABLE]
        assert added == {f"flickrhub/monitoring:{endpoint.rpartition(':')[2]}"}


def test_every_port_that_may_be_reached_is_one_that_somebody_listens_on() -> None:
    listening = {
        labels(each).get(NAME, own): {port["containerPort"] for port in container(each)["ports"]}
        for own, each in workloads(dev()).items()
    }
    listening["rabbitmq"].add(5671)
    for name, deployment in services(dev()).items():
        for reached in _let_through(dev(), labels(deployment), "Egress") - DNS:
            peer, port = reached.split(":")
            assert peer == "world" or int(port) in listening[peer], (name, reached)


def test_stores_in_another_namespace_are_reached_only_where_it_is_labelled_for_that() -> None:
    for policy in of_kind(prod(), "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for peer in rule.get("to", []):
                component = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
                if component and "namespaceSelector" in peer:
                    assert peer["namespaceSelector"]["matchLabels"] == {"flickrhub/stores": "true"}


def _blocks() -> list[tuple[str, Any]]:
    return [
        (policy["metadata"]["name"], peer["ipBlock"])
        for policy in of_kind(prod(), "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]


def test_the_world_is_what_is_public() -> None:
    blocks = _blocks()
    assert len(blocks) == 14
    for address in map(ipaddress.ip_address, INSIDE):
        assert not AddressPolicy().permits(address)
        assert [name for name, block in blocks if _lets(block, address)] == []
    for public in ("1.1.1.1", "2606:4700::1111"):
        address = ipaddress.ip_address(public)
        assert AddressPolicy().permits(address)
        assert len([name for name, block in blocks if _lets(block, address)]) == len(blocks) / 2


def test_kubernetes_takes_every_block() -> None:
    for name, block in _blocks():
        for network in map(ipaddress.ip_network, block["except"]):
            assert network.version == ipaddress.ip_network(block["cidr"]).version, name
            # Kubernetes reads ::ffff:0:0/96 as IPv4 and refuses the policy: no "strict subset of `cidr`". Addresses in
            # it are dialled as IPv4, which the other block judges.
            assert getattr(network.network_address, "ipv4_mapped", None) is None, name


def _lets(block: Any, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    within = address in ipaddress.ip_network(block["cidr"])
    return within and not any(address in ipaddress.ip_network(each) for each in block["except"])


def test_rabbitmq_is_reached_by_services_its_operator_keda_and_itself() -> None:
    pod = {NAME: "rabbitmq", "app.kubernetes.io/component": "rabbitmq", "app.kubernetes.io/part-of": "rabbitmq"}
    policy = named(prod(), "NetworkPolicy")["rabbitmq"]["spec"]
    assert selects(policy["podSelector"], pod)
    assert {port for rule in policy["egress"] for port in _ports(rule)} == {
        *("4369", "25672", "35672-35682"),  # each other
        *("443", "6443"),  # the Kubernetes API
    }
    reached: dict[str, set[str]] = {}
    for rule in policy["ingress"]:
        for peer in rule["from"]:
            reached.setdefault(" ".join(_labels(peer)), set()).update(_ports(rule))
    assert reached == {
        "flickrhub": {"5672", "5671"},
        "rabbitmq-system": {"15672", "15671"},
        "keda": {"15672", "15671"},
        "rabbitmq rabbitmq": {"4369", "25672", "35672-35682"},
    }


def _labels(peer: Any) -> Iterator[str]:
    for selector in peer.values():
        yield from selector["matchLabels"].values()
