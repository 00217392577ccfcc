"""flickr.photos: what is known about one photo."""

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload
from flickr_sim.methods.shapes import SIZES, fitting, may_download, original_size, source
from flickr_sim.methods.tags import tag_list
from flickr_sim.world.models import FARM, SERVER, Person, Photo

LICENSES = (
    ("0", "All Rights Reserved", "https://www.flickrhelp.com/hc/en-us/articles/10710266545556"),
    ("1", "CC BY-NC-SA 2.0", "https://creativecommons.org/licenses/by-nc-sa/2.0/"),
    ("2", "CC BY-NC 2.0", "https://creativecommons.org/licenses/by-nc/2.0/"),
    ("3", "CC BY-NC-ND 2.0", "https://creativecommons.org/licenses/by-nc-nd/2.0/"),
    ("4", "CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/"),
    ("5", "CC BY-SA 2.0", "https://creativecommons.org/licenses/by-sa/2.0/"),
    ("6", "CC BY-ND 2.0", "https://creativecommons.org/licenses/by-nd/2.0/"),
    ("7", "No known copyright restrictions", "https://www.flickr.com/commons/usage/"),
    ("8", "United States Government Work", "http://www.usa.gov/copyright.shtml"),
    ("9", "Public Domain Dedication (CC0)", "https://creativecommons.org/publicdomain/zero/1.0/"),
    ("10", "Public Domain Mark", "https://creativecommons.org/publicdomain/mark/1.0/"),
)


def get_info(call: MethodCall) -> Payload:
    """flickr.photos.getInfo."""
    photo = call.photo()
    owner = call.world.people[photo.owner]
    mine = call.viewer is owner
    payload: Payload = {
        "id": photo.id,
        "secret": photo.secret,
        "server": SERVER,
        "farm": FARM,
        "dateuploaded": str(photo.posted),
        "isfavorite": int(call.viewer_nsid in photo.favorites),
        "license": photo.license,
        "safety_level": str(photo.safety_level),
        "rotation": photo.rotation,
    }
    if may_download(photo, call.viewer_nsid):
        payload |= original_size(photo)
    payload |= {
        "owner": _owner(owner),
        "title": {"_content": photo.title},
        "description": {"_content": photo.description},
        "visibility": _visibility(photo),
        "dates": _dates(photo),
    }
    if mine:
        payload["permissions"] = {"permcomment": photo.perm_comment, "permaddmeta": photo.perm_addmeta}
    return {"photo": payload | _usage(call, photo) | _things_in(photo, owner, call)}


def get_sizes(call: MethodCall) -> Payload:
    """flickr.photos.getSizes."""
    photo = call.photo("Photo not found")
    owner = call.world.people[photo.owner]
    download = may_download(photo, call.viewer_nsid)
    sizes = []
    for size in SIZES:
        dimensions = fitting(photo, size)
        if dimensions is None or (size.edge == 0 and not download):
            continue
        sizes.append(
            {
                "label": size.label,
                "width": dimensions[0],
                "height": dimensions[1],
                "source": source(photo, size),
                "url": f"{owner.photos_url}{photo.id}/sizes/{size.page}/",
                "media": photo.media,
            }
        )
    return {"sizes": {"canblog": 0, "canprint": 0, "candownload": int(download), "size": sizes}}


def get_perms(call: MethodCall) -> Payload:
    """flickr.photos.getPerms, for the caller's own photos."""
    photo = call.own_photo()
    perms = {"permcomment": photo.perm_comment, "permaddmeta": photo.perm_addmeta, "permprint": 0}
    return {"perms": {"id": photo.id, **_visibility(photo), **perms}}


def get_favorites(call: MethodCall) -> Payload:
    """flickr.photos.getFavorites: who favours a photo, ten a page."""
    photo = call.photo("Photo not found")
    page = call.paging(default=10, most=50)
    people = [
        {"nsid": nsid, "username": call.world.people[nsid].username, "favedate": str(when)}
        for nsid, when in page.cut(sorted(photo.favorites.items(), key=lambda item: -item[1]))
    ]
    where = {"id": photo.id, "secret": photo.secret, "server": SERVER, "farm": FARM}
    return {"photo": {"person": people, **where, **page.members(len(photo.favorites))}}


def get_all_contexts(call: MethodCall) -> Payload:
    """flickr.photos.getAllContexts: the sets a photo is in (there are no groups in this world)."""
    photo = call.photo("Photo not found")
    sets = [
        {
            "id": kept.id,
            "title": kept.title,
            "primary": kept.primary,
            "secret": photo.secret,
            "server": SERVER,
            "farm": FARM,
        }
        for kept in call.world.photosets.values()
        if photo.id in kept.photo_ids
    ]
    return {"set": sets} if sets else {}


def get_location(call: MethodCall) -> Payload:
    """flickr.photos.geo.getLocation."""
    photo = call.photo("Photo not found")
    if not photo.has_geo:
        raise ApiError(2, "Photo has no location information")
    return {"photo": {"id": photo.id, "location": _location(photo)}}


def get_licenses(_call: MethodCall) -> Payload:
    """flickr.photos.licenses.getInfo."""
    return {"licenses": {"license": [{"id": id_, "name": name, "url": url} for id_, name, url in LICENSES]}}


def _owner(owner: Person) -> Payload:
    return {
        "nsid": owner.nsid,
        "username": owner.username,
        "realname": owner.realname,
        "location": owner.location,
        "iconserver": owner.icon_server,
        "iconfarm": owner.icon_farm,
        "path_alias": owner.path_alias,
        "gift": {"gift_eligible": True, "eligible_durations": ["year", "month", "week"], "new_flow": True},
    }


def _visibility(photo: Photo) -> Payload:
    return {
        "ispublic": int(photo.is_public),
        "isfriend": int(photo.is_friend),
        "isfamily": int(photo.is_family),
    }


def _dates(photo: Photo) -> Payload:
    return {
        "posted": str(photo.posted),
        "taken": photo.taken,
        "takengranularity": photo.taken_granularity,
        "takenunknown": str(int(photo.taken_unknown)),
        "lastupdate": str(photo.updated),
    }


def _usage(call: MethodCall, photo: Photo) -> Payload:
    mine = int(call.viewer_nsid == photo.owner)
    known = int(call.viewer is not None)
    return {
        "views": str(photo.views),
        "editability": {"cancomment": known, "canaddmeta": mine},
        "publiceditability": {"cancomment": int(photo.perm_comment == 3), "canaddmeta": int(photo.perm_addmeta == 3)},
        "usage": {
            "candownload": int(may_download(photo, call.viewer_nsid)),
            "canblog": mine,
            "canprint": mine,
            "canshare": int(photo.is_public or mine),
        },
    }


def _things_in(photo: Photo, owner: Person, call: MethodCall) -> Payload:
    payload: Payload = {
        "comments": {"_content": str(len(photo.comments))},
        "notes": {"note": []},
        "people": {"haspeople": 0},
        "tags": {"tag": tag_list(photo.tags, call.world)},
    }
    if photo.has_geo:
        payload["location"] = _location(photo)
    payload["urls"] = {"url": [{"type": "photopage", "_content": f"{owner.photos_url}{photo.id}/"}]}
    payload["media"] = photo.media
    if photo.media == "video":
        shape = {"duration": "12", "width": str(photo.width), "height": str(photo.height)}
        payload["video"] = {"ready": 1, "failed": 0, "pending": 0, **shape}
    return payload


def _location(photo: Photo) -> Payload:
    return {
        "latitude": str(photo.latitude),
        "longitude": str(photo.longitude),
        "accuracy": str(photo.accuracy),
        "context": "0",
    }


METHODS: dict[str, Method] = {
    "flickr.photos.getInfo": get_info,
    "flickr.photos.getSizes": get_sizes,
    "flickr.photos.getPerms": get_perms,
    "flickr.photos.getFavorites": get_favorites,
    "flickr.photos.getAllContexts": get_all_contexts,
    "flickr.photos.geo.getLocation": get_location,
    "flickr.photos.licenses.getInfo": get_licenses,
}
