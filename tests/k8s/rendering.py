"""Renders what deploy/k8s has, as `kubectl apply -k` would send it."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).resolve().parents[2] / "deploy" / "k8s"
OVERLAYS = tuple(sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml")))
COMPONENTS = tuple(sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml")))

Object = dict[str, Any]


class RenderError(Exception):
    """What kubectl said."""


def overlay(name: str) -> tuple[Object, ...]:
    """The objects of an overlay."""
    return render(K8S / "overlays" / name)


def component(name: str) -> tuple[Object, ...]:
    """The objects of the base with one component, and nothing of a cluster."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        kustomization = {
            "resources": [os.path.relpath(K8S / "base", here)],
            "components": [os.path.relpath(K8S / "components" / name, here)],
            "namespace": "flickrhub",
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        return render(here)


def render(folder: Path) -> tuple[Object, ...]:
    """The objects of a kustomization. Raises RenderError with what kubectl said."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RenderError(done.stderr.strip())
    return tuple(yaml.load(each, _LOADER) for each in done.stdout.split("\n---\n"))  # noqa: S506 - it is a safe one


_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C one, where there is one, is ten times as fast."""


@functools.cache
def kubectl() -> str:
    """The one that `bootstrap.sh kubectl` installed where the machine had none that will do, or the machine's."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if found is None:
        raise RenderError("kubectl isn't there: deploy/local/bootstrap.sh kubectl")
    return found
