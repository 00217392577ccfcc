"""The world as it is now, and every way it changes."""

import secrets
from collections.abc import Callable, Iterable
from itertools import count

from flickr_sim.world import tags
from flickr_sim.world.models import Comment, Contact, Person, Photo, Photoset, Rules, Tag, Ticket

SEARCHES_KEPT = 128


def _nobody_minds(_: Photo) -> None:
    pass


class World:
    """People and what they have. Nothing here knows of HTTP, formats or permissions of tokens."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.photos: dict[str, Photo] = {}
        self.photosets: dict[str, Photoset] = {}
        self.contacts: dict[str, dict[str, Contact]] = {}
        self.rules = Rules()
        self.tickets: dict[str, Ticket] = {}
        self.pending: list[Ticket] = []
        self.ids_by_file: dict[tuple[str, str], list[str]] = {}
        """Uploaded photos by (owner, SHA-256), oldest first; deleted ones stay."""
        self.on_delete: Callable[[Photo], None] = _nobody_minds
        self._last_photo_id = 0
        self._numbers = count(1)
        self._searches: dict[object, list[Photo]] = {}

    # -- people ----------------------------------------------------------------------------------------------------

    @property
    def first_person(self) -> Person:
        """The account that approves when nobody is chosen."""
        return next(iter(self.people.values()))

    def person(self, name: str) -> Person | None:
        """Find somebody by NSID, username or path alias."""
        found = self.people.get(name)
        if found is not None or not name:
            return found
        return next((person for person in self.people.values() if name in (person.username, person.path_alias)), None)

    def contact(self, of: str, whom: str) -> Contact | None:
        """Return how `of` sees `whom` (both NSIDs)."""
        return self.contacts.get(of, {}).get(whom)

    def can_see(self, photo: Photo, viewer: str | None) -> bool:
        """Say whether the person with the NSID `viewer` (None: anybody) may see the photo."""
        if photo.is_public or photo.owner == viewer:
            return True
        contact = self.contact(photo.owner, viewer) if viewer else None
        return contact is not None and ((photo.is_friend and contact.friend) or (photo.is_family and contact.family))

    # -- photos ----------------------------------------------------------------------------------------------------

    def visible_photo(self, photo_id: str, viewer: str | None) -> Photo | None:
        """Return the photo if it is there and may be seen."""
        photo = self.photos.get(photo_id)
        return photo if photo is not None and self.can_see(photo, viewer) else None

    def search(self, key: object, find: Callable[[Iterable[Photo]], list[Photo]]) -> list[Photo]:
        """Return what `find` makes of all photos, remembered under `key` until the world changes.

        Paging through a result asks for the same list again and again; the list must not be changed by who gets it.
        """
        kept = self._searches.get(key)
        if kept is None:
            if len(self._searches) >= SEARCHES_KEPT:
                del self._searches[next(iter(self._searches))]
            kept = self._searches[key] = find(self.photos.values())
        return kept

    def changed(self, photo: Photo | None = None, *, now: int = 0) -> None:
        """Note a change, of this photo if one is named, so that searches see it."""
        self._searches.clear()
        if photo is not None:
            photo.updated = now

    def add_photo(self, photo: Photo) -> None:
        """Put a photo into its owner's stream."""
        self.photos[photo.id] = photo
        self.know_id(photo.id)
        self._searches.clear()

    def new_photo_id(self) -> str:
        """Return the id of the next photo; ids grow, and none is given out twice."""
        self._last_photo_id += 1_000 + secrets.randbelow(400_000)
        return str(self._last_photo_id)

    def know_id(self, photo_id: str) -> None:
        """Note an id that is taken, so that new ones lie above it."""
        self._last_photo_id = max(self._last_photo_id, int(photo_id))

    def delete_photo(self, photo: Photo, *, now: int) -> None:
        """Remove a photo from the stream and from every set; a set without photos goes too, as on Flickr."""
        del self.photos[photo.id]
        for photoset in [kept for kept in self.photosets.values() if photo.id in kept.photo_ids]:
            self.remove_from_set(photoset, photo.id, now=now)
        self._searches.clear()
        self.on_delete(photo)

    # -- tags and comments -----------------------------------------------------------------------------------------

    def add_tags(self, photo: Photo, author: str, raws: Iterable[str]) -> list[Tag]:
        """Add tags the photo doesn't have yet (compared clean); return the new ones."""
        added: list[Tag] = []
        have = {tag.clean for tag in photo.tags}
        number = self.people[photo.owner].number
        for raw in raws:
            cleaned = tags.clean(raw)
            if cleaned and cleaned not in have:
                have.add(cleaned)
                tag = Tag(f"{number}-{photo.id}-{next(self._numbers)}", author, raw, cleaned, tags.is_machine(raw))
                added.append(tag)
        photo.tags.extend(added)
        self._searches.clear()
        return added

    def tagged(self, tag_id: str) -> tuple[Photo, Tag] | None:
        """Find a tag by its id, which names its photo."""
        photo = self.photos.get(_middle(tag_id))
        for tag in photo.tags if photo else ():
            if tag.id == tag_id and photo:
                return photo, tag
        return None

    def add_comment(self, photo: Photo, author: str, text: str, *, now: int) -> Comment:
        """Add a comment; the same words of the same author on the same photo are the same comment, as recorded."""
        for comment in photo.comments:
            if (comment.author, comment.text) == (author, text):
                return comment
        number = self.people[photo.owner].number
        comment = Comment(f"{number}-{photo.id}-72157{next(self._numbers):012d}", author, text, now)
        photo.comments.append(comment)
        return comment

    def commented(self, comment_id: str) -> tuple[Photo, Comment] | None:
        """Find a comment by its id, which names its photo."""
        photo = self.photos.get(_middle(comment_id))
        for comment in photo.comments if photo else ():
            if comment.id == comment_id and photo:
                return photo, comment
        return None

    # -- sets ------------------------------------------------------------------------------------------------------

    def create_set(self, owner: str, *, title: str, description: str, primary: str, now: int) -> Photoset:
        """Make a set of one photo."""
        photoset_id = f"72177720{next(self._numbers):09d}"
        photoset = Photoset(photoset_id, owner, title, description, primary, [primary], now, now)
        self.photosets[photoset_id] = photoset
        return photoset

    def remove_from_set(self, photoset: Photoset, photo_id: str, *, now: int) -> None:
        """Take a photo out of a set."""
        photoset.photo_ids.remove(photo_id)
        photoset.updated = now
        if not photoset.photo_ids:
            del self.photosets[photoset.id]
        elif photoset.primary == photo_id:
            photoset.primary = photoset.photo_ids[0]


def _middle(dashed: str) -> str:
    parts = dashed.split("-")
    return parts[1] if len(parts) == 3 else ""
