"""Cuts the schemas of what we deploy out of the wheel `kubernetes-validate`, which has all of Kubernetes in 70 MB.

pip download --no-deps kubernetes-validate && python -m tests.k8s.trim_schemas kubernetes_validate-*.whl
"""

import json
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

VERSIONS = ("1.32", "1.37")
KINDS = {
    "v1/ConfigMap": "core.v1.ConfigMap",
    "v1/Namespace": "core.v1.Namespace",
    "v1/Service": "core.v1.Service",
    "v1/ServiceAccount": "core.v1.ServiceAccount",
    "apps/v1/Deployment": "apps.v1.Deployment",
    "apps/v1/StatefulSet": "apps.v1.StatefulSet",
    "autoscaling/v2/HorizontalPodAutoscaler": "autoscaling.v2.HorizontalPodAutoscaler",
    "networking.k8s.io/v1/Ingress": "networking.v1.Ingress",
    "networking.k8s.io/v1/NetworkPolicy": "networking.v1.NetworkPolicy",
    "policy/v1/PodDisruptionBudget": "policy.v1.PodDisruptionBudget",
}
COMMENT = (
    "Kubernetes {version}, Copyright The Kubernetes Authors, Apache License 2.0 (LICENSE.kubernetes), by way of"
    " kubernetes-validate. Changed: cut down to the kinds that deploy/k8s has, without descriptions."
)
FOLDER = Path(__file__).parent / "schemas"


def main(wheel: str) -> None:
    """Write one file a version."""
    with ZipFile(wheel) as archive:
        for version in VERSIONS:
            name = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/_definitions.json"
            trimmed = _trimmed(json.loads(archive.read(name))["$defs"], version)
            text = json.dumps(trimmed, separators=(",", ":"), sort_keys=True)
            (FOLDER / f"kubernetes-{version}.json").write_text(text + "\n", encoding="utf-8")


def _trimmed(everything: dict[str, Any], version: str) -> dict[str, Any]:
    wanted = [f"io.k8s.api.{name}" for name in KINDS.values()]
    kept: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = _bare(everything[name])
            wanted += re.findall(r'"#/\$defs/([^"]+)"', json.dumps(kept[name]))
    kinds = {kind: f"io.k8s.api.{name}" for kind, name in KINDS.items()}
    return {"$comment": COMMENT.format(version=version), "kinds": kinds, "$defs": kept}


def _bare(schema: Any) -> Any:
    """Without descriptions; a property of that name stays."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "description" and isinstance(value, str))}
    return {key: _bare(value) for key, value in kept.items()}


if __name__ == "__main__":
    main(sys.argv[1])
