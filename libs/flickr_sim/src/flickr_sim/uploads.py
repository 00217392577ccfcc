"""/services/upload and /services/replace: from a received file to Flickr's answer, always in XML.

Refused in this order: who calls (OAuth problems, 100, 99), for a replacement the account and the photo (1), the file
(2, 4, 5, 8), what the account may (15, 6), the same file again (9). Flickr's own order is not recorded.
"""

import secrets
from pathlib import PurePosixPath

from flickr_sim import formats
from flickr_sim.answers import Answer
from flickr_sim.authentication import authenticated, check_permission
from flickr_sim.errors import OAuthProblem, photo_not_found, upload_error
from flickr_sim.incoming import Incoming, ReceivedPhoto
from flickr_sim.methods.people import UPLOAD_LIMIT_OF_FREE_ACCOUNTS
from flickr_sim.methods.photo_writes import TITLE_LIMIT
from flickr_sim.recognition import media_of
from flickr_sim.simulator import Simulator
from flickr_sim.world.arrivals import same_file
from flickr_sim.world.models import Arrival, File, Person, Photo, Rules
from flickr_sim.world.state import World

THERE, DELETED = "ACTIVE", "DELETED"  # Flickr's word for the first is not known
_META = (
    *("title", "description", "tags", "is_public", "is_friend", "is_family"),
    *("safety_level", "content_type", "hidden"),
)


class Uploads:
    """Takes photos in."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def upload(self, incoming: Incoming) -> Answer:
        """Answer /services/upload."""
        owner = self._authorised(incoming)
        world = self._simulator.world
        photo = _given(incoming)
        file = _file(photo, world.rules)
        _check_account(world, owner, incoming)
        _check_duplicate(world, owner, file, incoming.fields.get("dedup_check", ""))
        fields = {name: incoming.fields[name] for name in _META if name in incoming.fields}
        fields["title"] = fields.get("title", PurePosixPath(photo.filename).stem)[:TITLE_LIMIT]
        return self._taken(incoming, owner, self._arrival(world.new_photo_id(), owner, file, fields))

    def replace(self, incoming: Incoming) -> Answer:
        """Answer /services/replace."""
        owner = self._authorised(incoming)
        world = self._simulator.world
        if not owner.is_pro:
            raise upload_error(1)
        replaced = _own_photo(world, owner, incoming.fields.get("photo_id", ""))
        file = _file(_given(incoming), world.rules)
        return self._taken(incoming, owner, self._arrival(replaced.id, owner, file, None))

    def _authorised(self, incoming: Incoming) -> Person:
        token = authenticated(self._simulator, incoming, dead_token=lambda: OAuthProblem.named("token_rejected"))
        check_permission("write", token)
        person = self._simulator.world.people.get(token.account) if token else None
        if person is None:
            raise OAuthProblem.named("token_rejected")  # an account that is no longer there
        return person

    def _arrival(self, photo_id: str, owner: Person, file: File, fields: dict[str, str] | None) -> Arrival:
        return Arrival(
            photo_id=photo_id,
            owner=owner.nsid,
            at=self._simulator.clock(),
            file=file,
            secret=secrets.token_hex(5),
            original_secret=secrets.token_hex(5),
            replaces=fields is None,
            fields=fields or {},
        )

    def _taken(self, incoming: Incoming, owner: Person, arrival: Arrival) -> Answer:
        if incoming.fields.get("async") == "1":
            ticket = self._simulator.promise(arrival, f"{owner.number}-72157{secrets.randbelow(10**12):012d}")
            return formats.success({}, {"ticketid": {"_content": ticket.id}})
        self._simulator.accept(arrival)
        shown = {"secret": arrival.secret, "originalsecret": arrival.original_secret}
        return formats.success({}, {"photoid": {**shown, "_content": arrival.photo_id}})


def _given(incoming: Incoming) -> ReceivedPhoto:
    if incoming.photo is None:
        raise upload_error(2)
    return incoming.photo


def _file(photo: ReceivedPhoto, rules: Rules) -> File:
    if photo.size == 0:
        raise upload_error(4)
    media = media_of(photo.head)
    if media is None:
        raise upload_error(5)
    if photo.size > (rules.max_photo_bytes if media == "photo" else rules.max_video_bytes):
        raise upload_error(8)
    return File(photo.size, photo.sha256, media)


def _check_account(world: World, owner: Person, incoming: Incoming) -> None:
    if owner.is_pro:
        return
    if incoming.fields.get("safety_level") in ("2", "3"):
        raise upload_error(15)
    if sum(photo.owner == owner.nsid for photo in world.photos.values()) >= UPLOAD_LIMIT_OF_FREE_ACCOUNTS:
        raise upload_error(6)


def _check_duplicate(world: World, owner: Person, file: File, dedup_check: str) -> None:
    """Raise error 9: with 1 for photos that were deleted since too, with 2 (which revives those) not."""
    if dedup_check not in ("1", "2"):
        return
    there, gone = same_file(world, owner.nsid, file.sha256)
    if there is not None:
        raise upload_error(9, duplicate_photo_id=there, duplicate_photo_status=THERE)
    if gone is not None and dedup_check == "1":
        raise upload_error(9, duplicate_photo_id=gone, duplicate_photo_status=DELETED)


def _own_photo(world: World, owner: Person, photo_id: str) -> Photo:
    photo = world.photos.get(photo_id)
    if photo is None:
        raise photo_not_found(photo_id)
    if photo.owner != owner.nsid:
        raise photo_not_found(photo_id, "not your photo")
    return photo
