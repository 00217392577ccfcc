"""What there is in the world. Times are unix seconds unless a name says otherwise."""

from dataclasses import dataclass, field

FARM = 66
SERVER = "65535"


@dataclass(slots=True)
class Person:
    """An account; `path_alias` is None for people who never chose one."""

    nsid: str
    username: str
    realname: str
    location: str
    description: str
    path_alias: str | None
    is_pro: bool
    icon_server: str

    @property
    def icon_farm(self) -> int:
        """The image farm of the buddy icon; 0 together with the server "0" for people without one."""
        return FARM if self.icon_server != "0" else 0

    @property
    def photos_url(self) -> str:
        """The address of the photostream."""
        return f"https://www.flickr.com/photos/{self.path_alias or self.nsid}/"

    @property
    def number(self) -> str:
        """The number inside the NSID, which Flickr puts into the ids of tags and comments."""
        return self.nsid.partition("@")[0]


@dataclass(slots=True)
class Contact:
    """One person's view of another."""

    friend: bool = False
    family: bool = False
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag on one photo: as typed (`raw`) and as compared (`clean`)."""

    id: str
    author: str
    raw: str
    clean: str
    machine: bool


@dataclass(slots=True)
class Comment:
    """A comment on a photo."""

    id: str
    author: str
    text: str
    created: int


@dataclass(frozen=True, slots=True)
class File:
    """What is known of a file that was sent here; its bytes aren't kept. `media` is "photo" or "video"."""

    size: int
    sha256: str
    media: str


@dataclass(slots=True)
class Photo:
    """A photo or video; `taken` is local time, "YYYY-MM-DD HH:MM:SS"; `owner` is an NSID.

    `file` is None for photos that were generated; `joined` is when the photo came, to the fraction of a second (0 for
    generated ones): `posted` is whole and may be changed.
    """

    id: str
    owner: str
    secret: str
    original_secret: str
    title: str
    description: str
    is_public: bool
    is_friend: bool
    is_family: bool
    posted: int
    taken: str
    updated: int
    width: int
    height: int
    views: int
    license: str = "0"
    media: str = "photo"
    taken_granularity: int = 0
    taken_unknown: bool = False
    safety_level: int = 0
    content_type: int = 1
    hidden: bool = False
    rotation: int = 0
    perm_comment: int = 3
    perm_addmeta: int = 2
    latitude: float = 0.0
    longitude: float = 0.0
    accuracy: int = 0
    tags: list[Tag] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    favorites: dict[str, int] = field(default_factory=dict)
    replaced: int = 0
    file: File | None = None
    joined: float = 0.0

    @property
    def has_geo(self) -> bool:
        """Say whether the photo is on the map."""
        return self.accuracy > 0


@dataclass(slots=True)
class Photoset:
    """An album: photo ids in the owner's order, `primary` among them."""

    id: str
    owner: str
    title: str
    description: str
    primary: str
    photo_ids: list[str]
    created: int
    updated: int
    views: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file on its way into a photo: a new one of `owner`, or (`replaces`) one that is there.

    `at` is when it joins; `fields` are what its sender said of a new photo, in Flickr's names.
    """

    photo_id: str
    owner: str
    at: float
    file: File
    secret: str
    original_secret: str
    replaces: bool = False
    fields: dict[str, str] = field(default_factory=dict)


DONE, FAILED = 1, 2


@dataclass(slots=True)
class Ticket:
    """The promise of an arrival; `complete` is 0 until it is due and then `outcome`, DONE or FAILED."""

    id: str
    outcome: int
    arrival: Arrival
    complete: int = 0


@dataclass(slots=True)
class Rules:
    """What is the same for everybody: the largest files, in bytes, and how late the search index is."""

    max_photo_bytes: int = 209_715_200
    max_video_bytes: int = 1_073_741_824
    search_lag_seconds: float = 0.0
