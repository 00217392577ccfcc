"""Whether objects are what Kubernetes and the operators take, by schemas that are kept here."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.k8s.rendering import Object
from tests.k8s.trim_schemas import VERSIONS

FOLDER = Path(__file__).parent / "schemas"


def errors(thing: Object, version: str) -> tuple[str, ...]:
    """What is wrong with an object for this version of Kubernetes; a kind that has no schema is wrong."""
    return _errors(json.dumps(thing), version)


def is_custom(thing: Object) -> bool:
    """Whether it is an operator's and not Kubernetes' own."""
    return f"{thing['apiVersion']}/{thing['kind']}" in _custom()


@functools.cache  # most objects come again in every overlay
def _errors(text: str, version: str) -> tuple[str, ...]:
    thing = json.loads(text)
    validator = _validator(f"{thing.get('apiVersion')}/{thing.get('kind')}", version)
    if validator is None:
        return (f"{name_of(thing)}: no schema of {thing.get('apiVersion')}/{thing.get('kind')}",)
    found = (f"{name_of(thing)}: {error.json_path}: {error.message}" for error in validator.iter_errors(thing))
    return (*found, *(f"{name_of(thing)}: {path} is nothing" for path in _nulls(thing)))


def name_of(thing: Object) -> str:
    """``Kind/name``."""
    return f"{thing.get('kind')}/{thing.get('metadata', {}).get('name')}"


@functools.cache
def _validator(kind: str, version: str) -> Draft202012Validator | None:
    own = json.loads((FOLDER / f"kubernetes-{version}.json").read_text(encoding="utf-8"))
    if kind in own["kinds"]:
        return Draft202012Validator({"$ref": f"#/$defs/{own['kinds'][kind]}", "$defs": own["$defs"]})
    custom = _custom()
    if kind not in custom:
        return None
    definitions = {**own["$defs"], **custom["$defs"]}
    metadata = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    whole = {
        "required": ["metadata", "spec"],
        "properties": {"apiVersion": {}, "kind": {}, "metadata": metadata, "spec": custom[kind]},
        "additionalProperties": False,
    }
    return Draft202012Validator({**whole, "$defs": definitions})


@functools.cache
def _custom() -> dict[str, Any]:
    loaded = yaml.safe_load((FOLDER / "custom.yaml").read_text(encoding="utf-8"))
    closed: dict[str, Any] = _closed(loaded)
    return closed


def _closed(schema: Any) -> Any:
    """Whatever names its properties has no others."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _closed(value) for key, value in schema.items()}
    return inner | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else inner


def _nulls(value: Any, path: str = "$") -> Iterator[str]:
    """Kubernetes takes a null for a field that isn't there; nobody writes one on purpose."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _nulls(each, f"{path}.{key}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _nulls(each, f"{path}[{place}]")


__all__ = ["VERSIONS", "errors", "is_custom", "name_of"]
