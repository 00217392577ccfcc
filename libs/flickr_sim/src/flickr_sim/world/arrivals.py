"""Photos that come while the simulator runs: uploads, replacements, and tickets for both."""

from datetime import UTC, datetime

from flickr_sim.world import tags
from flickr_sim.world.models import DONE, FAILED, Arrival, Photo, Ticket
from flickr_sim.world.state import World

WIDTH, HEIGHT = 1024, 768  # of every uploaded photo: nobody looks into the file


def join(world: World, arrival: Arrival) -> bool:
    """Put a file into the world; False when the photo it replaces, or its owner, isn't there."""
    world.know_id(arrival.photo_id)
    if arrival.replaces:
        return _replace(world, arrival)
    if arrival.owner not in world.people:
        return False
    photo = _photo(arrival)
    world.add_photo(photo)
    world.add_tags(photo, photo.owner, tags.split(arrival.fields.get("tags", ""))[: tags.TAGS_LIMIT])
    _index(world, arrival)
    return True


def promise(world: World, ticket: Ticket) -> None:
    """Let an arrival wait until it is due."""
    world.know_id(ticket.arrival.photo_id)
    world.tickets[ticket.id] = ticket
    world.pending.append(ticket)
    world.pending.sort(key=lambda waiting: waiting.arrival.at)


def settle(world: World, now: float) -> None:
    """Complete every ticket that is due, in the order they fell due."""
    while world.pending and world.pending[0].arrival.at <= now:
        ticket = world.pending.pop(0)
        joined = ticket.outcome == DONE and join(world, ticket.arrival)
        ticket.complete = DONE if joined else FAILED


def same_file(world: World, owner: str, sha256: str) -> tuple[str | None, str | None]:
    """Return the ids of the owner's latest uploaded photos with this file: one that is there, one that was deleted."""
    ids = world.ids_by_file.get((owner, sha256), [])
    there = [photo_id for photo_id in ids if photo_id in world.photos]
    gone = [photo_id for photo_id in ids if photo_id not in world.photos]
    return there[-1] if there else None, gone[-1] if gone else None


def _photo(arrival: Arrival) -> Photo:
    given = arrival.fields
    posted = int(arrival.at)
    return Photo(
        id=arrival.photo_id,
        owner=arrival.owner,
        secret=arrival.secret,
        original_secret=arrival.original_secret,
        title=given.get("title", ""),
        description=given.get("description", ""),
        is_public=_flag(given.get("is_public") or "1"),
        is_friend=_flag(given.get("is_friend") or "0"),
        is_family=_flag(given.get("is_family") or "0"),
        posted=posted,
        taken=datetime.fromtimestamp(posted, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        taken_unknown=True,
        updated=posted,
        width=WIDTH,
        height=HEIGHT,
        views=0,
        media=arrival.file.media,
        safety_level=_level(given.get("safety_level")) - 1,
        content_type=_level(given.get("content_type")),
        hidden=given.get("hidden") == "2",
        file=arrival.file,
        joined=arrival.at,
    )


def _replace(world: World, arrival: Arrival) -> bool:
    photo = world.photos.get(arrival.photo_id)
    if photo is None:
        return False
    if photo.file is not None:
        world.ids_by_file[photo.owner, photo.file.sha256].remove(photo.id)
    photo.file, photo.media = arrival.file, arrival.file.media
    photo.secret, photo.original_secret = arrival.secret, arrival.original_secret
    photo.replaced += 1
    world.changed(photo, now=int(arrival.at))
    _index(world, arrival)
    return True


def _index(world: World, arrival: Arrival) -> None:
    world.ids_by_file.setdefault((arrival.owner, arrival.file.sha256), []).append(arrival.photo_id)


def _flag(text: str) -> bool:
    return text not in ("0", "false")


def _level(text: str | None) -> int:
    """Read a level from 1 to 3; what is none counts as the account's own default, which is 1."""
    return int(text) if text in ("1", "2", "3") else 1
