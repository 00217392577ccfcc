"""One call of a method: its arguments, who makes it, and the world it is made in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from flickr_sim.credentials import AccessToken
from flickr_sim.errors import ApiError, photo_not_found
from flickr_sim.incoming import Incoming
from flickr_sim.world.models import Person, Photo
from flickr_sim.world.state import World

Payload = dict[str, Any]
Item = TypeVar("Item")

MYSQL_DATETIME = "%Y-%m-%d %H:%M:%S"
LARGEST_TIMESTAMP = 4_102_444_800  # 2100: a later date is a mistake


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for; `page` counts from 1."""

    page: int
    per_page: int

    def cut(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the items of this page; a page behind the end is empty."""
        start = (self.page - 1) * self.per_page
        return items[start : start + self.per_page]

    def members(self, total: int) -> Payload:
        """Return the members every paged answer starts with."""
        return {
            "page": self.page,
            "pages": math.ceil(total / self.per_page),
            "perpage": self.per_page,
            "total": total,
        }


@dataclass(frozen=True, slots=True)
class MethodCall:
    """What a method gets; `token` and `viewer` are None for a call without login, `at` is when it is made."""

    world: World
    incoming: Incoming
    token: AccessToken | None
    viewer: Person | None
    at: float

    @property
    def now(self) -> int:
        """When the call is made, in whole unix seconds."""
        return int(self.at)

    @property
    def viewer_nsid(self) -> str | None:
        """The NSID of whoever calls, None for anybody."""
        return self.viewer.nsid if self.viewer else None

    @property
    def me(self) -> Person:
        """Whoever calls a method that needs a login."""
        if self.viewer is None:
            raise ApiError(98, "Invalid auth token")  # an account that is no longer there
        return self.viewer

    def text(self, name: str) -> str:
        """Return an argument, "" when it is absent."""
        return self.incoming.fields.get(name, "")

    def words(self, name: str) -> list[str]:
        """Return a comma-separated argument as a list without empty items."""
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def flag(self, name: str, default: bool) -> bool:
        """Return a 0|1 argument."""
        value = self.text(name)
        return default if value == "" else value not in ("0", "false")

    def integer(self, name: str) -> int | None:
        """Return an argument as a number, None when it is absent or is none."""
        value = self.text(name).strip()
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= 15 else None

    def paging(self, *, default: int = 100, most: int = 500) -> Page:
        """Read `page` and `per_page`; nonsense counts as absent, too many as the most."""
        per_page = self.integer("per_page") or default
        page = self.integer("page") or 1
        return Page(max(1, page), min(per_page if per_page > 0 else default, most))

    def moment(self, name: str) -> int | None:
        """Return a date argument (unix seconds or MySQL datetime, UTC) as unix seconds, None when absent or no date."""
        value = self.text(name).strip()
        stamp = self.integer(name)
        if stamp is not None:
            return stamp if 0 <= stamp <= LARGEST_TIMESTAMP else None
        for form in (MYSQL_DATETIME, "%Y-%m-%d"):
            try:
                return int(datetime.strptime(value, form).replace(tzinfo=UTC).timestamp())
            except ValueError:
                continue
        return None

    def whom(self, name: str = "user_id") -> Person | None:
        """Return the person an argument names: an NSID or path alias, "me", or the caller when it is absent."""
        value = self.text(name)
        if value in ("", "me"):
            return self.viewer
        person = self.world.people.get(value) or self.world.person(value)
        return person if person is not None and value in (person.nsid, person.path_alias) else None

    def photo(self, message: str | None = None) -> Photo:
        """Return the photo of `photo_id` if the caller may see it, else raise error 1 (saying `message`)."""
        photo_id = self.text("photo_id")
        photo = self.world.visible_photo(photo_id, self.viewer_nsid)
        if photo is None:
            raise ApiError(1, message) if message else photo_not_found(photo_id)
        return photo

    def own_photo(self, name: str = "photo_id") -> Photo:
        """Return the caller's own photo of `photo_id`, else raise error 1."""
        photo_id = self.text(name)
        photo = self.world.photos.get(photo_id)
        if photo is None:
            raise photo_not_found(photo_id)
        if photo.owner != self.me.nsid:
            raise photo_not_found(photo_id, "not your photo")
        return photo


Method = Callable[[MethodCall], Payload]
