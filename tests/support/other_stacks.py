"""For who starts a stack of its own: nothing of another one's `env`, exported by the caller's shell, may get in."""

import os

from deploy.local.stack.caller import HANDED_OUT
from deploy.local.stack.ports import DEFAULTS


def forget_other_stacks() -> None:
    """Have no URL, port or credential of another stack in the environment, whose processes aren't ours."""
    exported = {*HANDED_OUT, *DEFAULTS} | {f"{name}_FILE" for name in HANDED_OUT}
    for name in list(os.environ):
        if name in exported or name.endswith("_URL") or name.startswith("RABBIT_MANAGEMENT_"):
            del os.environ[name]
