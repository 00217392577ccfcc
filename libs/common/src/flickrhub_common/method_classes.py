"""Which of Flickr's methods write: POST for exactly these, GET for all others.

From the 222 methods of flickr.reflection.getMethodInfo (christopheradams/flickrex, Sep 2020) and, for the HTTP method,
the rule of Flickr's own SDK (flickr/flickr-sdk, src/services/rest/api.ts): POST for exactly the methods that need write
or delete permission.
"""

from flickrhub_common.contracts import Target

CLASSES = ("read", "write")
"""What operators see of a method: their names are anybody's."""

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


def is_write(method: str) -> bool:
    """Whether the method changes something at Flickr (and is sent as POST, and makes cached reads stale)."""
    return method in WRITES


def class_of(target: Target, method: str | None) -> str:
    """Which of CLASSES a job is of; uploads and replacements write."""
    return "write" if target is not Target.REST or is_write(method or "") else "read"
