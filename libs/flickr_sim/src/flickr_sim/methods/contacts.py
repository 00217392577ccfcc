"""flickr.contacts."""

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Page, Payload
from flickr_sim.world.models import Contact, Person

PER_PAGE = 1_000
Pair = tuple[Person, Contact]


def get_list(call: MethodCall) -> Payload:
    """flickr.contacts.getList: the caller's contacts, by name or newest first (`sort=time`)."""
    if call.text("sort") not in ("", "name", "time"):
        raise ApiError(1, "Invalid sort parameter")
    pairs = [pair for pair in _contacts(call, call.me.nsid) if _passes(pair[1], call.text("filter"))]
    if call.text("sort") != "time":
        pairs.sort(key=lambda pair: pair[0].username.casefold())
    page = call.paging(default=PER_PAGE, most=PER_PAGE)
    return {"contacts": {**_members(page, len(pairs)), "contact": [_own(*pair) for pair in page.cut(pairs)]}}


def get_public_list(call: MethodCall) -> Payload:
    """flickr.contacts.getPublicList."""
    person = call.whom() if call.text("user_id") else None
    if person is None:
        raise ApiError(1, "User not found")
    pairs = _contacts(call, person.nsid)
    page = call.paging(default=PER_PAGE, most=PER_PAGE)
    return {"contacts": {**_members(page, len(pairs)), "contact": [_public(*pair) for pair in page.cut(pairs)]}}


def _contacts(call: MethodCall, of: str) -> list[Pair]:
    return [(call.world.people[nsid], contact) for nsid, contact in call.world.contacts.get(of, {}).items()]


def _passes(contact: Contact, wanted: str) -> bool:
    choices = {
        "friends": contact.friend,
        "family": contact.family,
        "both": contact.friend and contact.family,
        "neither": not (contact.friend or contact.family),
        "ignored": contact.ignored,
    }
    return choices.get(wanted, True)


def _members(page: Page, total: int) -> Payload:
    members = page.members(total)
    return {
        "page": members["page"],
        "pages": members["pages"],
        "per_page": page.per_page,
        "perpage": page.per_page,
        "total": total,
    }


def _public(person: Person, contact: Contact) -> Payload:
    return {
        "nsid": person.nsid,
        "username": person.username,
        "iconserver": person.icon_server,
        "iconfarm": person.icon_farm,
        "ignored": int(contact.ignored),
    }


def _own(person: Person, contact: Contact) -> Payload:
    return {
        **_public(person, contact),
        "rev_ignored": 0,
        "realname": person.realname,
        "friend": int(contact.friend),
        "family": int(contact.family),
        "path_alias": person.path_alias,
        "location": person.location,
    }


METHODS: dict[str, Method] = {
    "flickr.contacts.getList": get_list,
    "flickr.contacts.getPublicList": get_public_list,
}
