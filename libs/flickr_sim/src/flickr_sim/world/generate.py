"""Make a world from a seed: the same seed always gives the same one."""

import pickle
from datetime import UTC, datetime
from functools import lru_cache
from random import Random

from flickr_sim.world.models import SERVER, Contact, Person, Photo
from flickr_sim.world.state import World

# (username, real name, location): enough variety to upset careless encoders, all of it invented.
_NAMES = (
    ("ada.harbour", "Ada Harbour", "Porto, Portugal"),
    ("northern_archive", "Northern Archive", "Tromsø, Norway"),
    ("zoë&friends", "Zoë O'Brien-Nakamura", "Dublin, Ireland"),
    ("lamplighter", "", ""),
    ("Mira K.", "Mira Kowalska", "Łódź, Poland"),
    ("pixel_gardener", "Jonas Beck", "Bern, Switzerland"),
    ("sea glass", "Inês Duarte", "Lagos, Portugal"),
    ("二月の雪", "Yuki Tanabe", "Sapporo, Japan"),
    ("trainspotter42", "Graham Pike", "York, England"),
    ("olive+oil", "Chiara Bellini", "Lecce, Italy"),
    ("quietlens", "Hannah Weiss", "Vienna, Austria"),
    ("bicycle_thief", "Luc Moreau", "Lyon, France"),
    ("stargazer", "Amina Yusuf", "Nairobi, Kenya"),
    ("rooftop cats", "Elif Şahin", "Istanbul, Türkiye"),
    ("old_maps", "Peter van Dam", "Leiden, Netherlands"),
    ("mossandstone", "Freya Lindqvist", "Uppsala, Sweden"),
    ("deep-field", "Carlos Ibarra", "Antofagasta, Chile"),
    ("papercrane", "Mei Lin", "Taipei, Taiwan"),
    ("<tagsoup>", "R. Miller", "Austin, Texas"),
    ("windrose", "Kofi Mensah", "Accra, Ghana"),
)
_ADJECTIVES = (
    "Quiet",
    "Golden",
    "Early",
    "Forgotten",
    "Blue",
    "Windy",
    "Small",
    "Last",
    "Bright",
    "Misty",
    "Red",
    "Old",
)
_NOUNS = (
    "harbour",
    "market",
    "forest",
    "bridge",
    "street",
    "garden",
    "river",
    "station",
    "mountain",
    "window",
    "boat",
    "roof",
)
_MOMENTS = (
    "at dawn",
    "in March",
    "after rain",
    "from above",
    "with dog",
    "& friends",
    "no. 7",
    "in colour",
    "— again",
    "",
)
_SUBJECT_TAGS = (
    "Travel",
    "City Life",
    "Street",
    "Sea",
    "Trees",
    "Night",
    "Winter",
    "Summer",
    "Portrait",
    "Architecture",
)
_COMMON_TAG = "Landscape"
_LICENSES = ("0", "0", "0", "1", "2", "4", "5", "9")
_ALL_WORDS = (
    "Lovely light!",
    "Where is this?",
    "Great composition & colours",
    "I was there too :)",
    "Magnifique ñ ü 雪",
)

FIRST_PERSON_NSID = "101234567@N02"
PHOTOS_OF_FIRST_PERSON = 260
PHOTOS_OF_ARCHIVE = 4_600  # one person alone has more than the 4,000 results a search gives
PHOTOS_OF_OTHERS = (50, 90)
FIRST_PHOTO_ID = 52_000_000_000
FIRST_POSTED = 1_577_880_000  # 2020-01-01 12:00 UTC
SECONDS_BETWEEN_UPLOADS = 25_000


def generate(seed: int) -> World:
    """A world of one's own, of a seed; made once and copied from then on, which takes a third of the time."""
    world: World = pickle.loads(_made(seed))  # noqa: S301 - our own, of this process
    return world


@lru_cache(maxsize=4)
def _made(seed: int) -> bytes:
    return pickle.dumps(_make(seed), pickle.HIGHEST_PROTOCOL)


def _make(seed: int) -> World:
    random = Random(seed)  # noqa: S311 - a world to play in, not a secret
    world = World()
    for index, names in enumerate(_NAMES):
        person = _person(random, index, *names)
        world.people[person.nsid] = person
    _add_photos(random, world)
    _add_contacts(random, world)
    _add_sets(random, world)
    _add_attention(random, world)
    return world


def _person(random: Random, index: int, username: str, realname: str, location: str) -> Person:
    nsid = FIRST_PERSON_NSID if index == 0 else f"{random.randrange(110_000_000, 199_999_999)}@N0{random.randrange(10)}"
    plain = username.replace("_", "-").replace(".", "-")
    return Person(
        nsid=nsid,
        username=username,
        realname=realname,
        location=location,
        description=f"Photographs by {realname or username}. <b>Simulated</b> & invented.",
        path_alias=plain if plain.replace("-", "").isascii() and plain.replace("-", "").isalnum() else None,
        is_pro=index < 2 or random.random() < 0.3,
        icon_server="0" if index % 4 == 3 else SERVER,
    )


def _add_photos(random: Random, world: World) -> None:
    owners: list[str] = []
    for index, nsid in enumerate(world.people):
        of_others = random.randint(*PHOTOS_OF_OTHERS)
        owners += [nsid] * {0: PHOTOS_OF_FIRST_PERSON, 1: PHOTOS_OF_ARCHIVE}.get(index, of_others)
    random.shuffle(owners)
    photo_id = FIRST_PHOTO_ID
    posted = FIRST_POSTED
    for number, owner in enumerate(owners, 1):
        photo_id += random.randint(1_000, 400_000)
        posted += random.randint(1, 2 * SECONDS_BETWEEN_UPLOADS)
        photo = _photo(random, str(photo_id), owner, posted)
        world.add_photo(photo)
        world.add_tags(photo, owner, _tags(random, number))


def _photo(random: Random, photo_id: str, owner: str, posted: int) -> Photo:
    audience = random.choices(("public", "friend", "family", "both", "private"), (94, 2, 1, 1, 2))[0]
    width, height = random.choice(((4000, 3000), (3000, 4000), (6000, 4000), (2400, 1600), (1024, 768)))
    on_map = random.random() < 0.3
    title = f"{random.choice(_ADJECTIVES)} {random.choice(_NOUNS)} {random.choice(_MOMENTS)}".strip()
    taken = datetime.fromtimestamp(posted - random.randint(600, 9_000_000), UTC)
    return Photo(
        id=photo_id,
        owner=owner,
        secret=f"{random.getrandbits(40):010x}",
        original_secret=f"{random.getrandbits(40):010x}",
        title=title,
        description="" if random.random() < 0.5 else f"{title}. <i>Seen</i> on a walk & kept.",
        is_public=audience == "public",
        is_friend=audience in ("friend", "both"),
        is_family=audience in ("family", "both"),
        posted=posted,
        taken=taken.strftime("%Y-%m-%d %H:%M:%S"),
        updated=posted + random.randint(0, 100_000),
        width=width,
        height=height,
        views=int(random.paretovariate(0.6)) % 100_000,
        license=random.choice(_LICENSES),
        media="video" if random.random() < 0.01 else "photo",
        latitude=round(random.uniform(-60, 70), 6) if on_map else 0.0,
        longitude=round(random.uniform(-180, 180), 6) if on_map else 0.0,
        accuracy=random.randint(10, 16) if on_map else 0,
    )


def _tags(random: Random, number: int) -> list[str]:
    chosen = random.sample(_SUBJECT_TAGS, random.randint(0, 3))
    if random.random() < 0.85:
        chosen.append(_COMMON_TAG)
    if number % 5 == 0:
        chosen.append(f"sim:number={number}")
    if number % 7 == 0:
        chosen.append(f"camera:model={random.choice(('X-T3', 'FM2', 'M6'))}")
    return chosen


def _add_contacts(random: Random, world: World) -> None:
    for nsid in world.people:
        others = [other for other in world.people if other != nsid]
        how_many = len(others) if nsid == FIRST_PERSON_NSID else random.randint(2, 12)
        world.contacts[nsid] = {
            other: Contact(friend=random.random() < 0.3, family=random.random() < 0.15)
            for other in random.sample(others, how_many)
        }


def _add_sets(random: Random, world: World) -> None:
    for index, nsid in enumerate(world.people):
        own = [photo for photo in world.photos.values() if photo.owner == nsid]
        for number in range({0: 6, 1: 12}.get(index, random.randint(1, 4))):
            photos = random.sample(own, min(len(own), random.randint(3, 120)))
            title = f"{random.choice(_NOUNS).title()}s, part {number + 1}"
            created = max(photo.posted for photo in photos)
            photoset = world.create_set(
                nsid, title=title, description=f"All about {title}", primary=photos[0].id, now=created
            )
            photoset.photo_ids = [photo.id for photo in photos]
            photoset.views = random.randrange(500)


def _add_attention(random: Random, world: World) -> None:
    """Let people favour and discuss public photos."""
    public = [photo for photo in world.photos.values() if photo.is_public]
    people = list(world.people)
    for photo in random.sample(public, len(public) // 8):
        admirers = random.sample(people, random.randint(1, 4))
        for nsid in admirers:
            if nsid != photo.owner:
                photo.favorites[nsid] = photo.posted + random.randint(60, 900_000)
                if random.random() < 0.4:
                    when = photo.posted + random.randint(60, 900_000)
                    world.add_comment(photo, nsid, random.choice(_ALL_WORDS), now=when)
