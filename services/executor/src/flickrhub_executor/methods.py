"""What Flickr's methods are: which write, which may be repeated, which answers say "already done".

From the 222 methods of flickr.reflection.getMethodInfo (christopheradams/flickrex, Sep 2020) and, for the HTTP method,
the rule of Flickr's own SDK (flickr/flickr-sdk, src/services/rest/api.ts): POST for exactly the methods that need write
or delete permission, GET for all others.
"""

UPLOAD, REPLACE = "upload", "replace"
"""Flickr's endpoints for photos, which are no methods but have codes of their own."""

_WRITE_METHODS = """
blogs.postPhoto
favorites.add favorites.remove
galleries.addPhoto galleries.create galleries.editMeta galleries.editPhoto galleries.editPhotos galleries.removePhoto
groups.discuss.replies.add groups.discuss.replies.edit groups.discuss.replies.delete groups.discuss.topics.add
groups.join groups.joinRequest groups.leave groups.pools.add groups.pools.remove
photos.addTags photos.delete photos.removeTag
photos.comments.addComment photos.comments.deleteComment photos.comments.editComment
photos.geo.batchCorrectLocation photos.geo.correctLocation photos.geo.removeLocation photos.geo.setContext
photos.geo.setLocation photos.geo.setPerms photos.licenses.setLicense
photos.notes.add photos.notes.delete photos.notes.edit
photos.people.add photos.people.delete photos.people.deleteCoords photos.people.editCoords
photos.setContentType photos.setDates photos.setMeta photos.setPerms photos.setSafetyLevel photos.setTags
photos.suggestions.approveSuggestion photos.suggestions.rejectSuggestion photos.suggestions.removeSuggestion
photos.suggestions.suggestLocation photos.transform.rotate
photosets.addPhoto photosets.comments.addComment photosets.comments.deleteComment photosets.comments.editComment
photosets.create photosets.delete photosets.editMeta photosets.editPhotos photosets.orderSets photosets.removePhoto
photosets.removePhotos photosets.reorderPhotos photosets.setPrimaryPhoto
testimonials.addTestimonial testimonials.approveTestimonial testimonials.deleteTestimonial testimonials.editTestimonial
"""

WRITES = frozenset(f"flickr.{name}" for name in _WRITE_METHODS.split())

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


def is_write(method: str) -> bool:
    """Whether the method changes something at Flickr (and is sent as POST, and makes cached reads stale)."""
    return method in WRITES


def is_cacheable(method: str) -> bool:
    """Whether its answer may be kept: reads only, no polls, and nothing about tokens."""
    return not (method in WRITES | _CHANGING_READS | _POLLS or method.startswith("flickr.auth."))
