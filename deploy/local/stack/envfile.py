"""`.run/env`: every URL, port and credential of this run, in shell syntax."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from deploy.local.stack.places import write_private

HEADER = "# Written by the local stack at `make up`. Credentials inside: for this user only.\n"


def write(path: Path, values: Mapping[str, str]) -> None:
    """Store `values` so that `. .run/env` in a shell gives them back unchanged, whatever they contain."""
    write_private(path, HEADER + "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))


def read(path: Path) -> dict[str, str]:
    """The values of a file that `write` wrote, or one written by hand with `NAME=value` lines."""
    assignments = shlex.split(path.read_text(encoding="utf-8"), comments=True)
    return dict(assignment.split("=", 1) for assignment in assignments)
