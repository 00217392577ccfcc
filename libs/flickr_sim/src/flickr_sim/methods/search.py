"""Methods that look for photos: search, streams, recent ones."""

from dataclasses import replace

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Page, Payload
from flickr_sim.methods.shapes import listed, photo_list, taken_date
from flickr_sim.world import tags
from flickr_sim.world.models import Photo
from flickr_sim.world.search import DEFAULT_SORT, PRIVACY, SORTS, Criteria, find

RESULTS_LIMIT = 4_000  # photos.search gives no more, whatever `total` says; behind them the last page repeats
RECENT_LIMIT = 1_000
TAGS_IN_SEARCH = 20
MACHINE_TAGS_IN_SEARCH = 16
GEO_PER_PAGE = 250

_LIMITING = (
    *("user_id", "tags", "text", "machine_tags", "license", "media", "contacts", "group_id", "in_gallery"),
    *("min_upload_date", "max_upload_date", "min_taken_date", "max_taken_date", "is_commons", "is_getty"),
    *("has_geo", "geo_context", "bbox", "lat", "lon", "woe_id", "place_id"),
)


def search(call: MethodCall) -> Payload:
    """flickr.photos.search."""
    if not any(call.text(name) for name in _LIMITING):
        raise ApiError(3, "Parameterless searches have been disabled. Please use flickr.photos.getRecent instead.")
    criteria = _criteria(call)
    if call.text("user_id"):
        person = call.whom()
        if person is None:
            raise ApiError(2, "Unknown user")
        criteria = replace(criteria, owner=person.nsid)
    found = _indexed(call, find(call.world, _with_words(call, criteria)))
    by_place = criteria.bbox is not None or criteria.has_geo is True
    page = call.paging(default=GEO_PER_PAGE if by_place else 100, most=GEO_PER_PAGE if by_place else 500)
    reachable = found[:RESULTS_LIMIT]
    last = max(1, -(-len(reachable) // page.per_page))
    shown = Page(min(page.page, last), page.per_page).cut(reachable)
    return {"photos": {**page.members(len(found)), "photo": listed(call, shown)}}


def people_get_photos(call: MethodCall) -> Payload:
    """flickr.people.getPhotos: everything of one person the caller may see; unlike search it has no cap."""
    if not call.text("user_id"):
        raise ApiError(1, "Required arguments missing")
    person = call.whom()
    if person is None:
        raise ApiError(2, "Unknown user")
    return _listing(call, replace(_criteria(call), owner=person.nsid, sort=DEFAULT_SORT))


def people_get_public_photos(call: MethodCall) -> Payload:
    """flickr.people.getPublicPhotos."""
    person = call.whom() if call.text("user_id") else None
    if person is None:
        raise ApiError(1, "User not found")
    return _listing(call, Criteria(viewer=None, owner=person.nsid))


def get_recent(call: MethodCall) -> Payload:
    """flickr.photos.getRecent: the latest public photos of everybody."""
    return photo_list(call, find(call.world, Criteria(viewer=None))[:RECENT_LIMIT], call.paging())


def recently_updated(call: MethodCall) -> Payload:
    """flickr.photos.recentlyUpdated: the caller's photos changed since `min_date`, latest change first."""
    if not call.text("min_date"):
        raise ApiError(1, "Required argument missing")
    since = call.moment("min_date")
    if since is None:
        raise ApiError(2, "Not a valid date")
    me = call.me.nsid
    found = find(call.world, Criteria(viewer=me, owner=me, min_updated=since, sort="date-updated-desc"))
    page = call.paging()
    extended = {**call.incoming.fields, "extras": ",".join([*call.words("extras"), "last_update"])}
    call = replace(call, incoming=replace(call.incoming, fields=extended))
    return photo_list(call, found, page)


def get_untagged(call: MethodCall) -> Payload:
    """flickr.photos.getUntagged."""
    return _listing(call, _own(call, untagged=True))


def get_not_in_set(call: MethodCall) -> Payload:
    """flickr.photos.getNotInSet."""
    return _listing(call, _own(call, not_in_set=True))


def get_with_geo_data(call: MethodCall) -> Payload:
    """flickr.photos.getWithGeoData."""
    return _listing(call, _own(call, has_geo=True))


def get_without_geo_data(call: MethodCall) -> Payload:
    """flickr.photos.getWithoutGeoData."""
    return _listing(call, _own(call, has_geo=False))


def _indexed(call: MethodCall, found: list[Photo]) -> list[Photo]:
    """Leave out what the search index doesn't know yet; the photostream, which is no index, shows it."""
    lag = call.world.rules.search_lag_seconds
    return [photo for photo in found if photo.joined + lag <= call.at] if lag else found


def _own(
    call: MethodCall, *, untagged: bool = False, not_in_set: bool = False, has_geo: bool | None = None
) -> Criteria:
    return replace(_criteria(call), owner=call.me.nsid, untagged=untagged, not_in_set=not_in_set, has_geo=has_geo)


def _listing(call: MethodCall, criteria: Criteria) -> Payload:
    return photo_list(call, find(call.world, criteria), call.paging())


def _criteria(call: MethodCall) -> Criteria:
    """Read the arguments search shares with its relatives."""
    sort = call.text("sort")
    privacy = call.text("privacy_filter")
    has_geo = call.text("has_geo")
    return Criteria(
        viewer=call.viewer_nsid,
        min_posted=call.moment("min_upload_date"),
        max_posted=call.moment("max_upload_date"),
        min_taken=_taken(call, "min_taken_date"),
        max_taken=_taken(call, "max_taken_date"),
        licenses=tuple(call.words("license")),
        privacy=privacy if privacy in PRIVACY else "",
        media={"photos": "photo", "videos": "video"}.get(call.text("media"), ""),
        has_geo=None if has_geo == "" else has_geo == "1",
        bbox=_bbox(call),
        sort=sort if sort in SORTS else DEFAULT_SORT,
    )


def _with_words(call: MethodCall, criteria: Criteria) -> Criteria:
    """Add what only search understands: text, tags, machine tags."""
    wanted = [_search_tag(word) for word in call.words("tags")]
    all_tags = call.text("tag_mode") == "all"
    if all_tags and len(wanted) > TAGS_IN_SEARCH:
        raise ApiError(1, "Too many tags in ALL query")
    return replace(
        criteria,
        text=tuple(call.text("text").lower().split()),
        tags=tuple(tag for tag in wanted if tag not in ("", "-")),
        all_tags=all_tags,
        machine_tags=_machine_terms(call),
        all_machine_tags=call.text("machine_tag_mode") == "all",
    )


def _machine_terms(call: MethodCall) -> tuple[tags.MachineTerm, ...]:
    words = call.words("machine_tags")
    if len(words) > MACHINE_TAGS_IN_SEARCH:
        raise ApiError(12, "Exceeded maximum allowable machine tags")
    terms = tuple(term for term in map(tags.machine_term, words) if term is not None)
    if words and not terms:
        raise ApiError(11, "No valid machine tags")
    return terms


def _search_tag(word: str) -> str:
    return f"-{tags.clean(word[1:])}" if word.startswith("-") else tags.clean(word)


def _taken(call: MethodCall, name: str) -> str:
    """Return a taken date as text; unix seconds are accepted too."""
    moment = call.moment(name)
    return "" if moment is None else taken_date(moment)


def _bbox(call: MethodCall) -> tuple[float, float, float, float] | None:
    """Read `bbox`: west, south, east, north in degrees."""
    try:
        west, south, east, north = map(float, call.words("bbox"))
    except ValueError:
        return None
    return west, south, east, north


METHODS: dict[str, Method] = {
    "flickr.photos.search": search,
    "flickr.people.getPhotos": people_get_photos,
    "flickr.people.getPublicPhotos": people_get_public_photos,
    "flickr.photos.getRecent": get_recent,
    "flickr.photos.recentlyUpdated": recently_updated,
    "flickr.photos.getUntagged": get_untagged,
    "flickr.photos.getNotInSet": get_not_in_set,
    "flickr.photos.getWithGeoData": get_with_geo_data,
    "flickr.photos.getWithoutGeoData": get_without_geo_data,
}
