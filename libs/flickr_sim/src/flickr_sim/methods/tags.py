"""flickr.tags, and the methods of flickr.photos that change tags."""

from collections import Counter
from collections.abc import Iterable

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload
from flickr_sim.world import tags
from flickr_sim.world.models import Person, Tag
from flickr_sim.world.state import World


def tag_list(own: Iterable[Tag], world: World) -> list[Payload]:
    """Return tags as photos.getInfo shows them."""
    return [
        {
            "id": tag.id,
            "author": tag.author,
            "authorname": world.people[tag.author].username,
            "raw": tag.raw,
            "_content": tag.clean,
            "machine_tag": tag.machine,
        }
        for tag in own
    ]


def add_tags(call: MethodCall) -> Payload:
    """flickr.photos.addTags: answers the tags that are new."""
    photo = call.own_photo()
    raws = tags.split(call.text("tags"))
    have = {tag.clean for tag in photo.tags}
    _check_number(have | {tags.clean(raw) for raw in raws})
    added = call.world.add_tags(photo, call.me.nsid, raws)
    call.world.changed(photo, now=call.now)
    return {
        "tags": {
            "tag": [
                {
                    "author": tag.author,
                    "authorname": call.me.username,
                    "raw": tag.raw,
                    "machine_tag": int(tag.machine),
                    "full_tag_id": tag.id,
                    "id": tag.id.rpartition("-")[2],
                    "_content": tag.clean,
                }
                for tag in added
            ]
        }
    }


def set_tags(call: MethodCall) -> Payload:
    """flickr.photos.setTags: these tags and no others; a tag that stays keeps its id."""
    photo = call.own_photo()
    raws = tags.split(call.text("tags"))
    wanted = {tags.clean(raw) for raw in raws}
    _check_number(wanted)
    photo.tags = [tag for tag in photo.tags if tag.clean in wanted]
    call.world.add_tags(photo, call.me.nsid, raws)
    call.world.changed(photo, now=call.now)
    return {}


def remove_tag(call: MethodCall) -> Payload:
    """flickr.photos.removeTag: by the full id of a tag on one of the caller's photos."""
    found = call.world.tagged(call.text("tag_id"))
    if found is None or found[0].owner != call.me.nsid:
        raise ApiError(1, "Tag not found")
    photo, tag = found
    photo.tags.remove(tag)
    call.world.changed(photo, now=call.now)
    return {}


def get_list_user(call: MethodCall) -> Payload:
    """flickr.tags.getListUser: every tag a person has used, in order."""
    person = _person(call)
    return {"who": {"id": person.nsid, "tags": {"tag": [{"_content": tag} for tag in sorted(_used(call, person))]}}}


def get_list_user_popular(call: MethodCall) -> Payload:
    """flickr.tags.getListUserPopular: the tags a person has used most, ten unless `count` says otherwise."""
    person = _person(call)
    popular = _used(call, person).most_common(max(0, call.integer("count") or 10))
    listed = [{"count": times, "_content": tag} for tag, times in popular]
    return {"who": {"id": person.nsid, "tags": {"tag": listed}}}


def get_list_photo(call: MethodCall) -> Payload:
    """flickr.tags.getListPhoto."""
    photo = call.photo("Photo not found")
    return {"photo": {"id": photo.id, "tags": {"tag": tag_list(photo.tags, call.world)}}}


def _check_number(cleaned: set[str]) -> None:
    if len(cleaned) > tags.TAGS_LIMIT:
        raise ApiError(2, "Maximum number of tags reached")


def _person(call: MethodCall) -> Person:
    person = call.whom()
    if person is None:
        raise ApiError(1, "User not found")
    return person


def _used(call: MethodCall, person: Person) -> Counter[str]:
    photos = (photo for photo in call.world.photos.values() if photo.owner == person.nsid)
    seen = (photo for photo in photos if call.world.can_see(photo, call.viewer_nsid))
    return Counter(tag.clean for photo in seen for tag in photo.tags)


METHODS: dict[str, Method] = {
    "flickr.photos.addTags": add_tags,
    "flickr.photos.setTags": set_tags,
    "flickr.photos.removeTag": remove_tag,
    "flickr.tags.getListUser": get_list_user,
    "flickr.tags.getListUserPopular": get_list_user_popular,
    "flickr.tags.getListPhoto": get_list_photo,
}
