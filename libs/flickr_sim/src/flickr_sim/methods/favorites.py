"""flickr.favorites."""

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload
from flickr_sim.methods.shapes import photo_list
from flickr_sim.world.models import Person


def add(call: MethodCall) -> Payload:
    """flickr.favorites.add."""
    photo = call.photo("Photo not found")
    if photo.owner == call.me.nsid:
        raise ApiError(2, "Photo is owned by you")
    if call.me.nsid in photo.favorites:
        raise ApiError(3, "Photo is already in favorites")
    photo.favorites[call.me.nsid] = call.now
    call.world.changed()
    return {}


def remove(call: MethodCall) -> Payload:
    """flickr.favorites.remove."""
    photo = call.world.photos.get(call.text("photo_id"))
    if photo is None or photo.favorites.pop(call.me.nsid, None) is None:
        raise ApiError(1, "Photo not in favorites")
    call.world.changed()
    return {}


def get_list(call: MethodCall) -> Payload:
    """flickr.favorites.getList: what a person favours and the caller may see, latest first."""
    person = call.whom()
    if person is None:
        raise ApiError(1, "User not found")
    return _favorites(call, person, viewer=call.viewer_nsid)


def get_public_list(call: MethodCall) -> Payload:
    """flickr.favorites.getPublicList."""
    person = call.whom() if call.text("user_id") else None
    if person is None:
        raise ApiError(1, "User not found")
    return _favorites(call, person, viewer=None)


def _favorites(call: MethodCall, person: Person, *, viewer: str | None) -> Payload:
    first, last = call.moment("min_fave_date"), call.moment("max_fave_date")
    dated = [
        (photo.favorites[person.nsid], photo)
        for photo in call.world.photos.values()
        if person.nsid in photo.favorites and call.world.can_see(photo, viewer)
    ]
    dated = [(when, photo) for when, photo in dated if (first or 0) <= when and (last is None or when <= last)]
    dated.sort(key=lambda pair: (pair[0], pair[1].id), reverse=True)
    page = call.paging()
    payload = photo_list(call, [photo for _, photo in dated], page)
    for item, (when, _) in zip(payload["photos"]["photo"], page.cut(dated), strict=True):
        item["date_faved"] = str(when)
    return payload


METHODS: dict[str, Method] = {
    "flickr.favorites.add": add,
    "flickr.favorites.remove": remove,
    "flickr.favorites.getList": get_list,
    "flickr.favorites.getPublicList": get_public_list,
}
