"""flickr.photos: methods that change a photo (tags and comments have their own modules)."""

from datetime import UTC, datetime

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import LARGEST_TIMESTAMP, MYSQL_DATETIME, Method, MethodCall, Payload
from flickr_sim.methods.photos import LICENSES

GRANULARITIES = ("0", "4", "6", "8")  # exact, month, year, circa
TITLE_LIMIT = 255
EARLIEST_POSTED = 1_072_915_200  # 2004: before Flickr nothing was posted


def set_meta(call: MethodCall) -> Payload:
    """flickr.photos.setMeta."""
    photo = call.own_photo()
    fields = call.incoming.fields
    if "title" not in fields and "description" not in fields:
        raise ApiError(2, "At least one of title or description must be set")
    photo.title = fields.get("title", photo.title)[:TITLE_LIMIT]
    photo.description = fields.get("description", photo.description)
    call.world.changed(photo, now=call.now)
    return {"photo": {"title": {"_content": photo.title}, "description": {"_content": photo.description}}}


def set_perms(call: MethodCall) -> Payload:
    """flickr.photos.setPerms."""
    photo = call.own_photo()
    if any(call.text(name) not in ("0", "1") for name in ("is_public", "is_friend", "is_family")):
        raise ApiError(2, "Required arguments missing")
    photo.is_public = call.flag("is_public", default=False)
    photo.is_friend = call.flag("is_friend", default=False)
    photo.is_family = call.flag("is_family", default=False)
    photo.perm_comment = _level(call, "perm_comment", photo.perm_comment)
    photo.perm_addmeta = _level(call, "perm_addmeta", photo.perm_addmeta)
    call.world.changed(photo, now=call.now)
    return {"photoid": {"_content": photo.id, "secret": photo.secret, "originalsecret": photo.original_secret}}


def set_dates(call: MethodCall) -> Payload:
    """flickr.photos.setDates: all arguments are checked before any is used."""
    photo = call.own_photo()
    posted, taken, granularity = (call.text(name) for name in ("date_posted", "date_taken", "date_taken_granularity"))
    if not (posted or taken or granularity):
        raise ApiError(2, "Not enough arguments")
    if granularity and granularity not in GRANULARITIES:
        raise ApiError(3, "Invalid granularity")
    stamp = call.integer("date_posted")
    if posted and (stamp is None or not EARLIEST_POSTED <= stamp <= min(call.now, LARGEST_TIMESTAMP)):
        raise ApiError(4, "Invalid date_posted")
    new_taken = _taken(taken) if taken else photo.taken
    photo.posted = stamp if stamp is not None else photo.posted
    photo.taken = new_taken
    photo.taken_granularity = int(granularity) if granularity else photo.taken_granularity
    call.world.changed(photo, now=call.now)
    return {}


def set_safety_level(call: MethodCall) -> Payload:
    """flickr.photos.setSafetyLevel."""
    photo = call.own_photo()
    level = call.text("safety_level")
    hidden = call.text("hidden")
    if (not level and not hidden) or level not in ("", "1", "2", "3") or hidden not in ("", "0", "1"):
        raise ApiError(2, "Invalid or missing arguments")
    photo.safety_level = int(level) - 1 if level else photo.safety_level
    photo.hidden = hidden == "1" if hidden else photo.hidden
    call.world.changed(photo, now=call.now)
    return {}


def set_content_type(call: MethodCall) -> Payload:
    """flickr.photos.setContentType."""
    photo = call.own_photo()
    if call.text("content_type") not in ("1", "2", "3"):
        raise ApiError(2, "Required arguments missing")
    photo.content_type = int(call.text("content_type"))
    call.world.changed(photo, now=call.now)
    return {}


def set_license(call: MethodCall) -> Payload:
    """flickr.photos.licenses.setLicense."""
    photo = call.own_photo()
    if call.text("license_id") not in [license_id for license_id, _, _ in LICENSES]:
        raise ApiError(2, "License not found")
    photo.license = call.text("license_id")
    call.world.changed(photo, now=call.now)
    return {}


def set_location(call: MethodCall) -> Payload:
    """flickr.photos.geo.setLocation."""
    photo = call.own_photo()
    if not call.text("lat") or not call.text("lon"):
        raise ApiError(2, "Required arguments missing")
    latitude = _degrees(call.text("lat"), 90)
    longitude = _degrees(call.text("lon"), 180)
    accuracy = 16 if call.text("accuracy") == "" else call.integer("accuracy")
    if latitude is None:
        raise ApiError(3, "Not a valid latitude")
    if longitude is None:
        raise ApiError(4, "Not a valid longitude")
    if accuracy is None or not 1 <= accuracy <= 16:
        raise ApiError(5, "Not a valid accuracy")
    photo.latitude, photo.longitude, photo.accuracy = latitude, longitude, accuracy
    call.world.changed(photo, now=call.now)
    return {}


def remove_location(call: MethodCall) -> Payload:
    """flickr.photos.geo.removeLocation."""
    photo = call.own_photo()
    if not photo.has_geo:
        raise ApiError(2, "Photo has no location information")
    photo.latitude, photo.longitude, photo.accuracy = 0.0, 0.0, 0
    call.world.changed(photo, now=call.now)
    return {}


def delete(call: MethodCall) -> Payload:
    """flickr.photos.delete."""
    call.world.delete_photo(call.own_photo(), now=call.now)
    return {}


def _level(call: MethodCall, name: str, current: int) -> int:
    """Read who may comment or add tags: 0 nobody, 1 friends and family, 2 contacts, 3 everybody."""
    value = call.integer(name)
    return value if value is not None and 0 <= value <= 3 else current


def _taken(text: str) -> str:
    if len(text) != len("YYYY-MM-DD HH:MM:SS") or text[4] != "-" or text[10] != " ":
        raise ApiError(5, "Invalid Date Taken Format")
    try:
        return datetime.strptime(text, MYSQL_DATETIME).replace(tzinfo=UTC).strftime(MYSQL_DATETIME)
    except ValueError as error:
        raise ApiError(6, "Invalid Date Taken") from error


def _degrees(text: str, limit: int) -> float | None:
    try:
        degrees = float(text)
    except ValueError:
        return None
    return degrees if -limit <= degrees <= limit else None


METHODS: dict[str, Method] = {
    "flickr.photos.setMeta": set_meta,
    "flickr.photos.setPerms": set_perms,
    "flickr.photos.setDates": set_dates,
    "flickr.photos.setSafetyLevel": set_safety_level,
    "flickr.photos.setContentType": set_content_type,
    "flickr.photos.licenses.setLicense": set_license,
    "flickr.photos.geo.setLocation": set_location,
    "flickr.photos.geo.removeLocation": remove_location,
    "flickr.photos.delete": delete,
}
