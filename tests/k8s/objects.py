"""Looking things up among rendered objects."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.k8s.rendering import Object

NAME, TARGET = "app.kubernetes.io/name", "flickrhub/target"


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Iterable[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind by name."""
    return {each["metadata"]["name"]: each for each in of_kind(objects, kind)}


def workloads(objects: Iterable[Object]) -> dict[str, Object]:
    """Whatever makes pods, by name."""
    return {each["metadata"]["name"]: each for each in of_kind(objects, "Deployment", "StatefulSet")}


def services(objects: Iterable[Object]) -> dict[str, Object]:
    """The Deployments of our own four services by name: six, with an executor a target."""
    ours = ("gateway", "auth", "notifier", "executor")
    return {name: each for name, each in named(objects, "Deployment").items() if labels(each)[NAME] in ours}


def pod(workload: Object) -> Any:
    """The spec of the pods it makes."""
    return workload["spec"]["template"]["spec"]


def container(workload: Object) -> Any:
    """The only container of its pods."""
    (only,) = pod(workload)["containers"]
    return only


def labels(workload: Object) -> dict[str, str]:
    """The labels of its pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: Mapping[str, Any], pod_labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes pods with these labels; an empty one takes all."""
    if not set(selector) <= {"matchLabels", "matchExpressions"}:
        raise ValueError(f"no selector: {selector}")
    if any(each["operator"] != "In" for each in selector.get("matchExpressions", [])):
        raise ValueError(f"only In is known here: {selector}")
    return all(pod_labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        pod_labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def config(objects: Iterable[Object], workload: Object) -> dict[str, str]:
    """What its pods are told by ConfigMaps and plain variables, NAME_FILE among them."""
    maps = named(objects, "ConfigMap")
    told: dict[str, str] = {}
    for source in container(workload).get("envFrom", []):
        told |= maps[source["configMapRef"]["name"]]["data"]
    return told | {each["name"]: each["value"] for each in container(workload).get("env", [])}


def mounted_secrets(workload: Object) -> Iterator[tuple[str, str, str]]:
    """Name, key and path of each item of a Secret that its pods see as a file."""
    mounts = {each["name"]: each["mountPath"] for each in container(workload)["volumeMounts"]}
    for volume in pod(workload)["volumes"]:
        if "secret" in volume:
            for item in volume["secret"]["items"]:
                yield volume["secret"]["secretName"], item["key"], f"{mounts[volume['name']]}/{item['path']}"
