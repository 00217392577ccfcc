"""flickr.people and flickr.urls: who somebody is."""

from urllib.parse import unquote, urlsplit

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload
from flickr_sim.methods.shapes import taken_date
from flickr_sim.world.models import Person, Photo

UPLOAD_LIMIT_OF_FREE_ACCOUNTS = 1_000


def get_info(call: MethodCall) -> Payload:
    """flickr.people.getInfo."""
    person = call.whom() if call.text("user_id") else None
    if person is None:
        raise ApiError(1, "User not found")
    photos = [photo for photo in call.world.photos.values() if photo.owner == person.nsid]
    seen = [photo for photo in photos if call.world.can_see(photo, call.viewer_nsid)]
    payload: Payload = {
        "id": person.nsid,
        "nsid": person.nsid,
        "ispro": int(person.is_pro),
        "is_deleted": 0,
        "iconserver": person.icon_server,
        "iconfarm": person.icon_farm,
        "path_alias": person.path_alias,
        "has_stats": int(person.is_pro),
        "username": {"_content": person.username},
        "realname": {"_content": person.realname},
        "location": {"_content": person.location},
        "description": {"_content": person.description},
        "photosurl": {"_content": person.photos_url},
        "profileurl": {"_content": _profile_url(person)},
        "mobileurl": {"_content": f"https://m.flickr.com/photostream.gne?id={person.number}"},
        "photos": _photos(seen),
    }
    if call.viewer is person:
        payload |= {**_upload_members(person, len(photos)), "is_cognito_user": 1}
        payload["all_rights_reserved_photos_count"] = sum(photo.license == "0" for photo in photos)
    payload |= {"has_adfree": 0, "has_free_standard_shipping": 0, "has_free_educational_resources": 0}
    return {"person": payload}


def find_by_username(call: MethodCall) -> Payload:
    """flickr.people.findByUsername; names are compared without regard to case."""
    wanted = call.text("username").strip().casefold()
    person = next((each for each in call.world.people.values() if each.username.casefold() == wanted), None)
    return {"user": _user(person)}


def get_upload_status(call: MethodCall) -> Payload:
    """flickr.people.getUploadStatus."""
    me = call.me
    count = sum(photo.owner == me.nsid for photo in call.world.photos.values())
    used = 0
    most = 214_748_364_800
    photo_bytes, video_bytes = call.world.rules.max_photo_bytes, call.world.rules.max_video_bytes
    return {
        "user": {
            "id": me.nsid,
            "ispro": int(me.is_pro),
            "username": {"_content": me.username},
            "bandwidth": {
                "max": 2_147_483_648,
                "used": used,
                "maxbytes": most,
                "usedbytes": used,
                "remainingbytes": most - used,
                "maxkb": most // 1024,
                "usedkb": used,
                "remainingkb": (most - used) // 1024,
                "unlimited": 1,
            },
            "filesize": {
                "max": photo_bytes,
                "maxbytes": photo_bytes,
                "maxkb": photo_bytes // 1024,
                "maxmb": photo_bytes // 1024 // 1024,
            },
            "sets": {"created": None, "remaining": "lots"},
            "videosize": {
                "maxbytes": video_bytes,
                "maxkb": video_bytes // 1024,
                "maxmb": video_bytes // 1024 // 1024,
            },
            "videos": {"uploaded": 0, "remaining": "lots"},
            **_upload_members(me, count),
        }
    }


def lookup_user(call: MethodCall) -> Payload:
    """flickr.urls.lookupUser: whose photostream or profile an address is."""
    parts = [unquote(part) for part in urlsplit(_without_brackets(call.text("url"))).path.split("/") if part]
    name = parts[1] if len(parts) > 1 and parts[0] in ("photos", "people") else ""
    person = call.world.person(name)
    if person is None:
        raise ApiError(1, "User not found")
    return {"user": {"id": person.nsid, "username": {"_content": person.username}}}


def get_user_photos(call: MethodCall) -> Payload:
    """flickr.urls.getUserPhotos."""
    person = _named_or_caller(call)
    return {"user": {"nsid": person.nsid, "url": person.photos_url}}


def get_user_profile(call: MethodCall) -> Payload:
    """flickr.urls.getUserProfile."""
    person = _named_or_caller(call)
    return {"user": {"nsid": person.nsid, "url": _profile_url(person)}}


def _named_or_caller(call: MethodCall) -> Person:
    person = call.whom()
    if person is None:
        raise ApiError(1, "User not found") if call.text("user_id") else ApiError(2, "No user specified")
    return person


def _user(person: Person | None) -> Payload:
    if person is None:
        raise ApiError(1, "User not found")
    return {"id": person.nsid, "nsid": person.nsid, "username": {"_content": person.username}}


def _photos(seen: list[Photo]) -> Payload:
    first = min(seen, key=lambda photo: photo.posted, default=None)
    return {
        "firstdatetaken": {"_content": min((photo.taken for photo in seen), default=taken_date(0))},
        "firstdate": {"_content": str(first.posted) if first else ""},
        "count": {"_content": len(seen)},
        "views": {"_content": str(sum(photo.views for photo in seen))},
    }


def _upload_members(person: Person, count: int) -> Payload:
    if person.is_pro:
        return {"upload_count": count, "upload_limit": "unlimited", "upload_limit_status": "not_limited"}
    status = "below_limit" if count < UPLOAD_LIMIT_OF_FREE_ACCOUNTS else "above_limit"
    return {"upload_count": count, "upload_limit": UPLOAD_LIMIT_OF_FREE_ACCOUNTS, "upload_limit_status": status}


def _profile_url(person: Person) -> str:
    return f"https://www.flickr.com/people/{person.path_alias or person.nsid}/"


def _without_brackets(url: str) -> str:
    """Take out what makes `urlsplit` look for an IPv6 address and raise."""
    return url.replace("[", "").replace("]", "")


METHODS: dict[str, Method] = {
    "flickr.people.getInfo": get_info,
    "flickr.people.findByUsername": find_by_username,
    "flickr.people.getUploadStatus": get_upload_status,
    "flickr.urls.lookupUser": lookup_user,
    "flickr.urls.getUserPhotos": get_user_photos,
    "flickr.urls.getUserProfile": get_user_profile,
}
