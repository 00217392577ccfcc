"""Flickr's methods, one module an area; each lists its own in `METHODS`."""

from flickr_sim.methods import (
    account,
    comments,
    contacts,
    favorites,
    people,
    photo_writes,
    photos,
    photosets,
    reflection,
    search,
    tags,
    testing,
    upload,
)
from flickr_sim.methods.call import Method

_AREAS = (
    account,
    comments,
    contacts,
    favorites,
    people,
    photo_writes,
    photos,
    photosets,
    reflection,
    search,
    tags,
    testing,
    upload,
)


def simulated() -> dict[str, Method]:
    """Return every simulated method by its name."""
    return {name: method for area in _AREAS for name, method in area.METHODS.items()}
