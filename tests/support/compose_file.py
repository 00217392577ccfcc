"""docker-compose.yml, read as an engine reads it: anchors merged, variables put in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Z0-9_]+)(?:(:-|:\?)([^}]*))?\})")


class NotSet(Exception):
    """A variable has to be set and isn't; the message is the file's own."""


def read(environment: Mapping[str, str]) -> dict[str, Any]:
    """The document with the caller's environment put in. Raises NotSet."""
    found: dict[str, Any] = _put_in(raw(), environment)
    return found


def raw() -> dict[str, Any]:
    """The document as it stands."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def variables() -> set[str]:
    """The names it asks the caller's environment for."""
    return {name for _, name, _, _ in _VARIABLE.findall(FILE.read_text(encoding="utf-8")) if name}


def _put_in(part: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {key: _put_in(value, environment) for key, value in part.items()}
    if isinstance(part, list):
        return [_put_in(value, environment) for value in part]
    return _VARIABLE.sub(lambda found: _value(found, environment), part) if isinstance(part, str) else part


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    dollar, name, kind, rest = found.groups()
    if dollar:
        return "$"
    given = environment.get(name, "")
    if not given and kind == ":?":
        raise NotSet(f"{name}: {rest}")
    return given or (rest if kind == ":-" else "")
