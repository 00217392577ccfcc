"""flickr.photosets."""

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Page, Payload
from flickr_sim.methods.shapes import listed
from flickr_sim.world.models import FARM, SERVER, Photo, Photoset
from flickr_sim.world.search import PRIVACY

PER_PAGE = 500


def get_list(call: MethodCall) -> Payload:
    """flickr.photosets.getList: all sets of a person, in pages only when asked for."""
    person = call.whom()
    if person is None:
        raise ApiError(1, "User not found")
    own = [kept for kept in call.world.photosets.values() if kept.owner == person.nsid]
    own.sort(key=lambda kept: (-kept.created, kept.id))
    asked = call.text("page") or call.text("per_page")
    page = call.paging(default=PER_PAGE, most=PER_PAGE) if asked else Page(1, max(PER_PAGE, len(own)))
    shown = [_entry(call, kept) for kept in page.cut(own)]
    cancreate = {"cancreate": int(call.viewer is person)}
    return {"photosets": {**cancreate, **page.members(len(own)), "photoset": shown}}


def get_info(call: MethodCall) -> Payload:
    """flickr.photosets.getInfo."""
    return {"photoset": _entry(call, _any_set(call))}


def get_photos(call: MethodCall) -> Payload:
    """flickr.photosets.getPhotos: photos of a set the caller may see, in the set's order."""
    photoset = _any_set(call)
    owner = call.world.people[photoset.owner]
    photos = _visible(call, photoset)
    page = call.paging(default=PER_PAGE, most=PER_PAGE)
    shown = []
    for item in listed(call, page.cut(photos)):
        del item["owner"]
        flags = {name: item.pop(name) for name in ("ispublic", "isfriend", "isfamily")}
        basics = {name: item.pop(name) for name in ("id", "secret", "server", "farm", "title")}
        isprimary = "1" if basics["id"] == photoset.primary else "0"
        shown.append({**basics, "isprimary": isprimary, **flags, **item})
    members = page.members(len(photos))
    return {
        "photoset": {
            "id": photoset.id,
            "primary": photoset.primary,
            "owner": owner.nsid,
            "ownername": owner.username,
            "photo": shown,
            "page": members["page"],
            "per_page": page.per_page,
            "perpage": page.per_page,
            "pages": members["pages"],
            "title": photoset.title,
            "total": members["total"],
        }
    }


def create(call: MethodCall) -> Payload:
    """flickr.photosets.create."""
    title = call.text("title").strip()
    if not title:
        raise ApiError(1, "No title specified")
    primary = call.world.photos.get(call.text("primary_photo_id"))
    if primary is None or primary.owner != call.me.nsid:
        raise ApiError(2, "Photo not found")
    description = call.text("description")
    photoset = call.world.create_set(
        call.me.nsid, title=title, description=description, primary=primary.id, now=call.now
    )
    call.world.changed()
    return {"photoset": {"id": photoset.id, "url": f"{call.me.photos_url}sets/{photoset.id}/"}}


def delete(call: MethodCall) -> Payload:
    """flickr.photosets.delete."""
    del call.world.photosets[_own_set(call).id]
    call.world.changed()
    return {}


def edit_meta(call: MethodCall) -> Payload:
    """flickr.photosets.editMeta."""
    photoset = _own_set(call)
    title = call.text("title").strip()
    if not title:
        raise ApiError(2, "No title specified")
    photoset.title = title
    photoset.description = call.incoming.fields.get("description", photoset.description)
    photoset.updated = call.now
    return {}


def add_photo(call: MethodCall) -> Payload:
    """flickr.photosets.addPhoto."""
    photoset, photo = _set_and_photo(call)
    if photo.id in photoset.photo_ids:
        raise ApiError(3, "Photo already in set")
    photoset.photo_ids.append(photo.id)
    photoset.updated = call.now
    call.world.changed()
    return {}


def remove_photo(call: MethodCall) -> Payload:
    """flickr.photosets.removePhoto."""
    photoset, photo = _set_and_photo(call)
    if photo.id not in photoset.photo_ids:
        raise ApiError(3, "Photo not in set")
    call.world.remove_from_set(photoset, photo.id, now=call.now)
    call.world.changed()
    return {}


def set_primary_photo(call: MethodCall) -> Payload:
    """flickr.photosets.setPrimaryPhoto."""
    photoset, photo = _set_and_photo(call)
    if photo.id not in photoset.photo_ids:
        raise ApiError(2, "Photo not found")
    photoset.primary = photo.id
    photoset.updated = call.now
    return {}


def edit_photos(call: MethodCall) -> Payload:
    """flickr.photosets.editPhotos: exactly these photos, in this order."""
    photoset = _own_set(call)
    wanted = list(dict.fromkeys(call.words("photo_ids")))
    primary = call.text("primary_photo_id")
    if not wanted:
        raise ApiError(5, "Empty photos list")
    if any(_own(call, photo_id) is None for photo_id in wanted):
        raise ApiError(2, "Photo not found")
    if _own(call, primary) is None:
        raise ApiError(3, "Primary photo not found")
    if primary not in wanted:
        raise ApiError(4, "Primary photo not in list")
    photoset.photo_ids, photoset.primary, photoset.updated = wanted, primary, call.now
    call.world.changed()
    return {}


def _any_set(call: MethodCall) -> Photoset:
    photoset = call.world.photosets.get(call.text("photoset_id"))
    if photoset is None:
        raise ApiError(1, "Photoset not found")
    if call.text("user_id"):
        person = call.whom()
        if person is None:
            raise ApiError(2, "User not found")
        if person.nsid != photoset.owner:
            raise ApiError(1, "Photoset not found")
    return photoset


def _own_set(call: MethodCall) -> Photoset:
    photoset = call.world.photosets.get(call.text("photoset_id"))
    if photoset is None or photoset.owner != call.me.nsid:
        raise ApiError(1, "Photoset not found")
    return photoset


def _own(call: MethodCall, photo_id: str) -> Photo | None:
    photo = call.world.photos.get(photo_id)
    return photo if photo is not None and photo.owner == call.me.nsid else None


def _set_and_photo(call: MethodCall) -> tuple[Photoset, Photo]:
    photoset = _own_set(call)
    photo = _own(call, call.text("photo_id"))
    if photo is None:
        raise ApiError(2, "Photo not found")
    return photoset, photo


def _visible(call: MethodCall, photoset: Photoset) -> list[Photo]:
    world, viewer = call.world, call.viewer_nsid
    found = (world.visible_photo(photo_id, viewer) for photo_id in photoset.photo_ids)
    photos = [photo for photo in found if photo is not None]
    media = {"photos": "photo", "videos": "video"}.get(call.text("media"))
    privacy = PRIVACY.get(call.text("privacy_filter")) if viewer == photoset.owner else None
    return [photo for photo in photos if (media in (None, photo.media)) and (privacy is None or privacy(photo))]


def _entry(call: MethodCall, photoset: Photoset) -> Payload:
    owner = call.world.people[photoset.owner]
    primary = call.world.photos[photoset.primary]
    found = (call.world.visible_photo(photo_id, call.viewer_nsid) for photo_id in photoset.photo_ids)
    photos = [photo for photo in found if photo is not None]
    videos = sum(photo.media == "video" for photo in photos)
    return {
        "id": photoset.id,
        "owner": owner.nsid,
        "username": owner.username,
        "primary": photoset.primary,
        "secret": primary.secret,
        "server": SERVER,
        "farm": FARM,
        "count_views": str(photoset.views),
        "count_comments": "0",
        "count_photos": len(photos) - videos,
        "count_videos": videos,
        "title": {"_content": photoset.title},
        "description": {"_content": photoset.description},
        "can_comment": int(call.viewer is not None),
        "date_create": str(photoset.created),
        "date_update": str(photoset.updated),
        "photos": len(photos) - videos,
        "videos": videos,
        "visibility_can_see_set": 1,
        "needs_interstitial": 0,
    }


METHODS: dict[str, Method] = {
    "flickr.photosets.getList": get_list,
    "flickr.photosets.getInfo": get_info,
    "flickr.photosets.getPhotos": get_photos,
    "flickr.photosets.create": create,
    "flickr.photosets.delete": delete,
    "flickr.photosets.editMeta": edit_meta,
    "flickr.photosets.addPhoto": add_photo,
    "flickr.photosets.removePhoto": remove_photo,
    "flickr.photosets.setPrimaryPhoto": set_primary_photo,
    "flickr.photosets.editPhotos": edit_photos,
}
