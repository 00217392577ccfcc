"""`make k8s`: render every overlay and every component, and hold every object to its schemas."""

import sys
from collections.abc import Callable

from tests.k8s.rendering import COMPONENTS, OVERLAYS, Object, RenderError, component, overlay
from tests.k8s.validation import VERSIONS, errors, is_custom


def main() -> int:
    """Say a line for each; 1 if anything is wrong."""
    wrong = [_check("overlay", name, overlay) for name in OVERLAYS]
    wrong += [_check("component", name, component) for name in COMPONENTS]
    return 1 if any(wrong) else 0


def _check(what: str, name: str, render: Callable[[str], tuple[Object, ...]]) -> bool:
    try:
        objects = render(name)
    except RenderError as error:
        _say(f"✗ {what} {name} doesn't render: {error}")
        return True
    found = {line: None for version in VERSIONS for each in objects for line in errors(each, version)}
    custom = sum(is_custom(each) for each in objects)
    versions = " and ".join(VERSIONS)
    _say(
        f"{'✗' if found else '✓'} {what} {name}: {len(objects) - custom} objects by Kubernetes {versions},"
        f" {custom} by their operators' schemas"
    )
    for line in found:
        _say(f"    {line}")
    return bool(found)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
