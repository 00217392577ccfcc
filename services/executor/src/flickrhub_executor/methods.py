"""What Flickr's methods are: which may be repeated, which answers say "already done", which may be kept.

Which of them write is in ``flickrhub_common.method_classes``. From the 222 methods of flickr.reflection.getMethodInfo
(christopheradams/flickrex, Sep 2020).
"""

from flickrhub_common.method_classes import WRITES

UPLOAD, REPLACE = "upload", "replace"
"""Flickr's endpoints for photos, which are no methods but have codes of their own."""

_CHANGING_READS = frozenset({"flickr.push.subscribe", "flickr.push.unsubscribe"})
"""They need only read permission but change something."""

_POLLS = frozenset({"flickr.photos.upload.checkTickets"})
"""Asked again and again until the answer changes: a kept answer would defeat the question."""

NOT_REPEATABLE = frozenset(
    {
        "flickr.blogs.postPhoto",
        "flickr.galleries.create",
        "flickr.groups.discuss.replies.add",
        "flickr.groups.discuss.topics.add",
        "flickr.photos.notes.add",
        "flickr.photos.suggestions.suggestLocation",
        "flickr.photos.transform.rotate",
        "flickr.photosets.comments.addComment",
        "flickr.photosets.create",
    }
)
"""A second call makes a second thing."""

ALREADY_DONE: dict[str, frozenset[int]] = {
    "flickr.favorites.add": frozenset({3}),
    "flickr.favorites.remove": frozenset({1}),
    "flickr.galleries.addPhoto": frozenset({8}),
    "flickr.groups.join": frozenset({4}),
    "flickr.groups.discuss.replies.delete": frozenset({2}),
    "flickr.groups.joinRequest": frozenset({4, 7}),
    "flickr.groups.leave": frozenset({3}),
    "flickr.groups.pools.add": frozenset({3, 6, 7}),
    "flickr.groups.pools.remove": frozenset({2}),
    "flickr.photos.comments.deleteComment": frozenset({2}),
    "flickr.photos.delete": frozenset({1}),
    "flickr.photos.geo.removeLocation": frozenset({2}),
    "flickr.photos.notes.delete": frozenset({1}),
    "flickr.photos.removeTag": frozenset({1}),
    "flickr.photosets.addPhoto": frozenset({3}),
    "flickr.photosets.comments.deleteComment": frozenset({2}),
    "flickr.photosets.delete": frozenset({1}),
    "flickr.photosets.removePhoto": frozenset({3}),
    "flickr.testimonials.addTestimonial": frozenset({4}),
    "flickr.testimonials.approveTestimonial": frozenset({3}),
    "flickr.testimonials.deleteTestimonial": frozenset({2}),
}
"""Codes that, on a repetition, say that the lost attempt had worked."""

TRANSIENT_CODES: dict[str, frozenset[int]] = {
    "flickr.photos.comments.addComment": frozenset({9}),
    "flickr.photosets.comments.addComment": frozenset({9}),
    "flickr.photos.geo.setLocation": frozenset({6}),
    "flickr.photos.geo.correctLocation": frozenset({4}),
    "flickr.photos.notes.add": frozenset({6}),
    "flickr.photos.transform.rotate": frozenset({3}),
    "flickr.push.subscribe": frozenset({6}),
    "flickr.push.unsubscribe": frozenset({6}),
    UPLOAD: frozenset({3, 14}),
    REPLACE: frozenset({3}),
}
"""A method's own codes that pass with time."""


def is_cacheable(method: str) -> bool:
    """Whether its answer may be kept: reads only, no polls, and nothing about tokens."""
    return not (method in WRITES | _CHANGING_READS | _POLLS or method.startswith("flickr.auth."))
