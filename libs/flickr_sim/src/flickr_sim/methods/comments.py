"""flickr.photos.comments."""

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload
from flickr_sim.world.models import SERVER, Comment, Photo


def get_list(call: MethodCall) -> Payload:
    """flickr.photos.comments.getList, oldest first, within `min_comment_date` and `max_comment_date`."""
    photo = call.photo("Photo not found")
    first, last = call.moment("min_comment_date"), call.moment("max_comment_date")
    comments = [
        comment
        for comment in sorted(photo.comments, key=lambda comment: comment.created)
        if (first is None or comment.created >= first) and (last is None or comment.created <= last)
    ]
    payload: Payload = {"photo_id": photo.id}
    if comments:
        payload["comment"] = [_entry(call, photo, comment) for comment in comments]
    return {"comments": payload}


def add_comment(call: MethodCall) -> Payload:
    """flickr.photos.comments.addComment: the same words again answer with the first comment's id, as recorded."""
    photo = call.photo("Photo not found")
    text = call.text("comment_text")
    if not text.strip():
        raise ApiError(8, "Blank comment")
    if not _may_comment(call, photo):
        raise ApiError(99, "Insufficient permission to comment")
    comment = call.world.add_comment(photo, call.me.nsid, text, now=call.now)
    return {"comment": _entry(call, photo, comment)}


def edit_comment(call: MethodCall) -> Payload:
    """flickr.photos.comments.editComment, by its author."""
    text = call.text("comment_text")
    if not text.strip():
        raise ApiError(8, "Blank comment")
    _, comment = _found(call)
    if comment.author != call.me.nsid:
        raise ApiError(99, "Insufficient permission to comment")
    comment.text = text
    return {}


def delete_comment(call: MethodCall) -> Payload:
    """flickr.photos.comments.deleteComment, by its author or the photo's owner."""
    photo, comment = _found(call)
    if call.me.nsid not in (comment.author, photo.owner):
        raise ApiError(99, "Insufficient permission to comment")
    photo.comments.remove(comment)
    return {}


def _found(call: MethodCall) -> tuple[Photo, Comment]:
    found = call.world.commented(call.text("comment_id"))
    if found is None or not call.world.can_see(found[0], call.me.nsid):
        raise ApiError(2, "Comment not found")
    return found


def _may_comment(call: MethodCall, photo: Photo) -> bool:
    """Apply perm_comment: 0 nobody, 1 friends and family, 2 contacts, 3 everybody; the owner always may."""
    if call.me.nsid == photo.owner or photo.perm_comment == 3:
        return True
    contact = call.world.contact(photo.owner, call.me.nsid)
    if contact is None or photo.perm_comment == 0:
        return False
    return photo.perm_comment == 2 or contact.friend or contact.family


def _entry(call: MethodCall, photo: Photo, comment: Comment) -> Payload:
    author = call.world.people[comment.author]
    owner = call.world.people[photo.owner]
    return {
        "id": comment.id,
        "author": author.nsid,
        "author_is_deleted": 0,
        "authorname": author.username,
        "iconserver": author.icon_server,
        "iconfarm": author.icon_farm,
        "datecreate": str(comment.created),
        "permalink": f"{owner.photos_url}{photo.id}/#comment{comment.id.rpartition('-')[2]}",
        "path_alias": author.path_alias,
        "realname": author.realname,
        "_content": comment.text,
        "iconurls": {
            "retina": f"https://live.staticflickr.com/{SERVER}/buddyicons/{author.nsid}_r.jpg",
            "large": f"https://live.staticflickr.com/{SERVER}/buddyicons/{author.nsid}_l.jpg",
            "medium": f"https://live.staticflickr.com/{SERVER}/buddyicons/{author.nsid}_m.jpg",
            "small": f"https://live.staticflickr.com/{SERVER}/buddyicons/{author.nsid}_s.jpg",
            "default": f"https://live.staticflickr.com/{SERVER}/buddyicons/{author.nsid}.jpg",
        },
    }


METHODS: dict[str, Method] = {
    "flickr.photos.comments.getList": get_list,
    "flickr.photos.comments.addComment": add_comment,
    "flickr.photos.comments.editComment": edit_comment,
    "flickr.photos.comments.deleteComment": delete_comment,
}
