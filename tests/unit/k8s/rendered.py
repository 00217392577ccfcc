"""The overlays, rendered once a process."""

import functools

from tests.k8s import rendering
from tests.k8s.rendering import OVERLAYS, Object

__all__ = ["OVERLAYS", "dev", "overlay", "prod"]


@functools.cache
def overlay(name: str) -> tuple[Object, ...]:
    """The objects of an overlay; not to be changed."""
    return rendering.overlay(name)


def prod() -> tuple[Object, ...]:
    """Production's."""
    return overlay("prod")


def dev() -> tuple[Object, ...]:
    """Those of a small cluster."""
    return overlay("dev")
