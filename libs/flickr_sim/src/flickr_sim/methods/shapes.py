"""Shapes several methods share: photos in lists, sizes, addresses of images."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flickr_sim.methods.call import MYSQL_DATETIME, MethodCall, Page, Payload
from flickr_sim.world.models import FARM, SERVER, Person, Photo
from flickr_sim.world.state import World


@dataclass(frozen=True, slots=True)
class Size:
    """One size an image comes in; `edge` is its longer side in pixels, 0 for the original."""

    label: str
    suffix: str
    page: str
    edge: int
    square: bool = False


SIZES = (
    Size("Square", "s", "sq", 75, square=True),
    Size("Large Square", "q", "q", 150, square=True),
    Size("Thumbnail", "t", "t", 100),
    Size("Small", "m", "s", 240),
    Size("Small 320", "n", "n", 320),
    Size("Small 400", "w", "w", 400),
    Size("Medium", "", "m", 500),
    Size("Medium 640", "z", "z", 640),
    Size("Medium 800", "c", "c", 800),
    Size("Large", "b", "l", 1024),
    Size("Large 1600", "h", "h", 1600),
    Size("Large 2048", "k", "k", 2048),
    Size("Original", "o", "o", 0),
)
_SECRET_SIZES = ("h", "k", "o")  # these carry another secret in their address
_SIZE_BY_PAGE = {size.page: size for size in SIZES}


def fitting(photo: Photo, size: Size) -> tuple[int, int] | None:
    """Return width and height of the photo in this size, None when the photo is too small for it."""
    longest = max(photo.width, photo.height)
    if size.square:
        return size.edge, size.edge
    if size.edge == 0:
        return photo.width, photo.height
    if size.edge > longest:
        return None
    return max(1, photo.width * size.edge // longest), max(1, photo.height * size.edge // longest)


def source(photo: Photo, size: Size) -> str:
    """Return the address of the image file."""
    secret = photo.original_secret if size.suffix in _SECRET_SIZES else photo.secret
    suffix = f"_{size.suffix}" if size.suffix else ""
    return f"https://live.staticflickr.com/{SERVER}/{photo.id}_{secret}{suffix}.jpg"


def may_download(photo: Photo, viewer: str | None) -> bool:
    """Say whether the viewer gets the original: the owner does, others with a free licence."""
    return photo.owner == viewer or photo.license != "0"


def photo_list(call: MethodCall, photos: Sequence[Photo], page: Page) -> Payload:
    """Return the answer of methods that list photos."""
    return {"photos": {**page.members(len(photos)), "photo": listed(call, page.cut(photos))}}


def listed(call: MethodCall, photos: Iterable[Photo]) -> list[Payload]:
    """Return photos as members of a list, with the `extras` asked for."""
    extras = call.words("extras")
    items = []
    for photo in photos:
        item = entry(photo)
        for extra in extras:
            _add_extra(item, photo, call, extra)
        items.append(item)
    return items


def entry(photo: Photo) -> Payload:
    """Return what every list says of a photo."""
    return {
        "id": photo.id,
        "owner": photo.owner,
        "secret": photo.secret,
        "server": SERVER,
        "farm": FARM,
        "title": photo.title,
        "ispublic": int(photo.is_public),
        "isfriend": int(photo.is_friend),
        "isfamily": int(photo.is_family),
    }


def tags_text(photo: Photo, *, machine: bool) -> str:
    """Return the clean tags of one kind, separated by spaces."""
    return " ".join(tag.clean for tag in photo.tags if tag.machine is machine)


def taken_date(posted: int) -> str:
    """Return unix seconds in the form of a taken date."""
    return datetime.fromtimestamp(posted, UTC).strftime(MYSQL_DATETIME)


def original_size(photo: Photo) -> Payload:
    """Return the members that describe the original file."""
    return {"originalsecret": photo.original_secret, "originalformat": "jpg"}


def _location(photo: Photo) -> Payload:
    if not photo.has_geo:
        return {"latitude": 0, "longitude": 0, "accuracy": 0, "context": 0}
    return {
        "latitude": photo.latitude,
        "longitude": photo.longitude,
        "accuracy": str(photo.accuracy),
        "context": 0,
    }


def _icon(person: Person) -> Payload:
    return {"iconserver": person.icon_server, "iconfarm": person.icon_farm}


def _taken(photo: Photo) -> Payload:
    return {
        "datetaken": photo.taken,
        "datetakengranularity": photo.taken_granularity,
        "datetakenunknown": int(photo.taken_unknown),
    }


Extra = Callable[[Photo, World], dict[str, Any]]
_EXTRAS: dict[str, Extra] = {
    "description": lambda photo, _: {"description": {"_content": photo.description}},
    "license": lambda photo, _: {"license": photo.license},
    "date_upload": lambda photo, _: {"dateupload": str(photo.posted)},
    "date_taken": lambda photo, _: _taken(photo),
    "owner_name": lambda photo, world: {"ownername": world.people[photo.owner].username},
    "icon_server": lambda photo, world: _icon(world.people[photo.owner]),
    "last_update": lambda photo, _: {"lastupdate": str(photo.updated)},
    "geo": lambda photo, _: _location(photo),
    "tags": lambda photo, _: {"tags": tags_text(photo, machine=False)},
    "machine_tags": lambda photo, _: {"machine_tags": tags_text(photo, machine=True)},
    "views": lambda photo, _: {"views": str(photo.views)},
    "media": lambda photo, _: {"media": photo.media, "media_status": "ready"},
    "path_alias": lambda photo, world: {"pathalias": world.people[photo.owner].path_alias},
    "count_faves": lambda photo, _: {"count_faves": str(len(photo.favorites))},
    "count_comments": lambda photo, _: {"count_comments": str(len(photo.comments))},
    "rotation": lambda photo, _: {"rotation": photo.rotation},
    "safety_level": lambda photo, _: {"safety_level": str(photo.safety_level)},
    "content_type": lambda photo, _: {"content_type": photo.content_type},
}


def _add_extra(item: Payload, photo: Photo, call: MethodCall, extra: str) -> None:
    """Add what one word of `extras` asks for; words Flickr doesn't know are ignored, as it does."""
    shape = _EXTRAS.get(extra)
    if shape is not None:
        item.update(shape(photo, call.world))
    elif extra.startswith("url_"):
        item.update(_url_extra(photo, extra.removeprefix("url_"), call.viewer_nsid))
    elif extra == "original_format" and may_download(photo, call.viewer_nsid):
        item.update(original_size(photo))
    elif extra == "o_dims" and may_download(photo, call.viewer_nsid):
        item.update({"o_width": str(photo.width), "o_height": str(photo.height)})


def _url_extra(photo: Photo, letter: str, viewer: str | None) -> Payload:
    size = _SIZE_BY_PAGE.get(letter)
    if size is None or (letter == "o" and not may_download(photo, viewer)):
        return {}
    dimensions = fitting(photo, size)
    if dimensions is None:
        return {}
    return {f"url_{letter}": source(photo, size), f"height_{letter}": dimensions[1], f"width_{letter}": dimensions[0]}
