"""Choose and order photos, as photos.search and its relatives do."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flickr_sim.world.models import Photo
from flickr_sim.world.state import World
from flickr_sim.world.tags import MachineTerm, matches

DEFAULT_SORT = "date-posted-desc"
SORTS: dict[str, tuple[Callable[[Photo], object], bool]] = {
    "date-posted-desc": (lambda photo: (photo.posted, photo.id), True),
    "date-posted-asc": (lambda photo: (photo.posted, photo.id), False),
    "date-taken-desc": (lambda photo: (photo.taken, photo.id), True),
    "date-taken-asc": (lambda photo: (photo.taken, photo.id), False),
    "interestingness-desc": (lambda photo: (len(photo.favorites), photo.views, photo.id), True),
    "interestingness-asc": (lambda photo: (len(photo.favorites), photo.views, photo.id), False),
    "relevance": (lambda photo: (photo.posted, photo.id), True),
    "date-updated-desc": (lambda photo: (photo.updated, photo.id), True),
}

PRIVACY: dict[str, Callable[[Photo], bool]] = {
    "1": lambda photo: photo.is_public,
    "2": lambda photo: photo.is_friend and not photo.is_family,
    "3": lambda photo: photo.is_family and not photo.is_friend,
    "4": lambda photo: photo.is_friend and photo.is_family,
    "5": lambda photo: not (photo.is_public or photo.is_friend or photo.is_family),
}


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for; what is left out doesn't restrict. Dates are unix seconds, taken dates are text."""

    viewer: str | None
    owner: str | None = None
    text: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    all_tags: bool = False
    machine_tags: tuple[MachineTerm, ...] = ()
    all_machine_tags: bool = False
    min_posted: int | None = None
    max_posted: int | None = None
    min_taken: str = ""
    max_taken: str = ""
    min_updated: int | None = None
    licenses: tuple[str, ...] = ()
    privacy: str = ""
    media: str = ""
    has_geo: bool | None = None
    bbox: tuple[float, float, float, float] | None = None
    untagged: bool = False
    not_in_set: bool = False
    sort: str = DEFAULT_SORT


def find(world: World, criteria: Criteria) -> list[Photo]:
    """Return every photo that fits and that the viewer may see, in order. The list is shared: don't change it."""
    return world.search(criteria, lambda photos: _find(world, photos, criteria))


def _find(world: World, photos: Iterable[Photo], criteria: Criteria) -> list[Photo]:
    tests = [*_people_tests(world, criteria), *_word_tests(criteria), *_date_tests(criteria), *_kind_tests(criteria)]
    if criteria.not_in_set:
        in_sets = {photo_id for photoset in world.photosets.values() for photo_id in photoset.photo_ids}
        tests.append(lambda photo: photo.id not in in_sets)
    for test in tests:
        photos = [photo for photo in photos if test(photo)]
    key, reverse = SORTS[criteria.sort]
    return sorted(photos, key=key, reverse=reverse)  # type: ignore[arg-type]


Test = Callable[[Photo], bool]


def _people_tests(world: World, criteria: Criteria) -> Iterable[Test]:
    owner, viewer = criteria.owner, criteria.viewer
    if owner is not None:
        yield lambda photo: photo.owner == owner
    if owner is None or owner != viewer:
        yield lambda photo: photo.is_public or world.can_see(photo, viewer)
    if criteria.privacy in PRIVACY and viewer is not None:
        yield PRIVACY[criteria.privacy]


def _word_tests(criteria: Criteria) -> Iterable[Test]:
    for word in criteria.text:
        yield _word_test(word)
    unwanted = {tag[1:] for tag in criteria.tags if tag.startswith("-")}
    wanted = {tag for tag in criteria.tags if not tag.startswith("-")}
    if unwanted:
        yield lambda photo: not any(tag.clean in unwanted for tag in photo.tags)
    if wanted and criteria.all_tags:
        yield lambda photo: wanted <= {tag.clean for tag in photo.tags}
    elif wanted:
        yield lambda photo: any(tag.clean in wanted for tag in photo.tags)
    if criteria.machine_tags:
        yield _machine_test(criteria.machine_tags, every=criteria.all_machine_tags)
    if criteria.untagged:
        yield lambda photo: not photo.tags


def _word_test(word: str) -> Test:
    unwanted = word.startswith("-") and len(word) > 1
    needle = word[1:] if unwanted else word

    def has(photo: Photo) -> bool:
        found = needle in photo.title.lower() or needle in photo.description.lower()
        return (found or any(needle in tag.raw.lower() for tag in photo.tags)) != unwanted

    return has


def _machine_test(terms: tuple[MachineTerm, ...], *, every: bool) -> Test:
    def has(photo: Photo) -> bool:
        own = [tag.clean for tag in photo.tags if tag.machine]
        hits = (any(matches(term, cleaned) for cleaned in own) for term in terms)
        return bool(own) and (all(hits) if every else any(hits))

    return has


def _date_tests(criteria: Criteria) -> Iterable[Test]:
    first, last, updated = criteria.min_posted, criteria.max_posted, criteria.min_updated
    if first is not None:
        yield lambda photo: photo.posted >= first
    if last is not None:
        yield lambda photo: photo.posted <= last
    if updated is not None:
        yield lambda photo: photo.updated >= updated
    if criteria.min_taken:
        yield lambda photo: photo.taken >= criteria.min_taken
    if criteria.max_taken:
        yield lambda photo: photo.taken <= criteria.max_taken


def _kind_tests(criteria: Criteria) -> Iterable[Test]:
    if criteria.licenses:
        yield lambda photo: photo.license in criteria.licenses
    if criteria.media:
        yield lambda photo: photo.media == criteria.media
    if criteria.has_geo is not None:
        yield lambda photo: photo.has_geo == criteria.has_geo
    if criteria.bbox is not None:
        west, south, east, north = criteria.bbox
        yield lambda photo: photo.has_geo and west <= photo.longitude <= east and south <= photo.latitude <= north
