"""What Flickr's answer to an upload or a replacement means: a pure function over the facts.

Always XML (facts/flickr.md, 3.3, 3.4, 3.6), whatever else may come from in front of it. Whether a photo may have been
stored all the same is decided carefully: a needless look costs a minute, a second photo can't be undone.
"""

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from flickrhub_common.json_text import dump
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.methods import UPLOAD
from flickrhub_executor.models import FlickrReply
from flickrhub_executor.usecases.judge_reply import failure_of_code, failure_of_status, judge, number

MOST_BYTES = 64 * 1024
LONGEST_ID = 200
DUPLICATE_CODE = 9
_ERROR_PLACES = ("err", "rsp")
_CERTAIN = frozenset({"ERR_FLICKR_OAUTH", "FLICKR_14"})
"""Failures that pass and surely left nothing: a refused signature, and Flickr without capacity."""


@dataclass(frozen=True)
class Uploaded:
    """The photo is there; ``flickr`` is Flickr's answer as compact JSON text."""

    flickr: str


@dataclass(frozen=True)
class Ticketed:
    """Flickr has the bytes and will say later, to whoever asks with the ticket, which photo they became."""

    ticket: str


@dataclass(frozen=True)
class Duplicate:
    """Flickr has this very photo already. ``deleted``: or had it, until its owner deleted it."""

    photo_id: str
    deleted: bool


def judge_upload(reply: FlickrReply, *, method: str) -> Uploaded | Ticketed | Duplicate:
    """The answer, or the failure it stands for; ``method`` is ``upload`` or ``replace``.

    Raises TransientFailure, doubtful unless nothing was stored for certain, PermanentFailure or TokenDead.
    """
    try:
        return _judge(reply, method=method)
    except TransientFailure as failure:
        certain = reply.status == 429 or (reply.status < 500 and failure.code in _CERTAIN)
        failure.doubtful = not certain
        failure.retry_after = max((s for s in (failure.retry_after, reply.retry_after) if s is not None), default=None)
        raise


def flickr_text(photo_id: str, **beside: str) -> str:
    """A photo's id, and what is known beside it, in the form of Flickr's own JSON."""
    contents = {"photoid": photo_id, **beside}
    return dump({"stat": "ok", **{name: {"_content": value} for name, value in contents.items()}})


def _judge(reply: FlickrReply, *, method: str) -> Uploaded | Ticketed | Duplicate:
    elements = _elements(reply.body)
    if elements and elements[0].name == "rsp":
        stat = elements[0].attributes.get("stat")
        if stat == "ok" and 200 <= reply.status < 300:
            return _success(elements, reply)
        if stat == "fail":
            return _error(elements, reply, method=method)
    judge(reply, method=method, repeated=False)
    raise failure_of_status(reply)  # success in another form: it names no photo that could be believed


@dataclass
class _Element:
    name: str
    attributes: dict[str, str]
    text: list[str] = field(default_factory=list)

    @property
    def content(self) -> str:
        return "".join(self.text).strip()


def _success(elements: list["_Element"], reply: FlickrReply) -> Uploaded | Ticketed:
    found = {element.name: element for element in reversed(elements)}
    photo, ticket = found.get("photoid"), found.get("ticketid")
    if photo is not None and is_id(photo.content):
        return Uploaded(dump({"stat": "ok", "photoid": {**photo.attributes, "_content": photo.content}}))
    if ticket is not None and 0 < len(ticket.content) <= LONGEST_ID:
        return Ticketed(ticket.content)
    raise failure_of_status(reply)


def _error(elements: list["_Element"], reply: FlickrReply, *, method: str) -> Duplicate:
    found = {element.name: element for element in reversed(elements)}
    error = found.get("err")
    code = number(error.attributes.get("code")) if error is not None else None
    if error is None or code is None:
        raise failure_of_status(reply)
    duplicate = _beside(found, "duplicate_photo_id")
    if code == DUPLICATE_CODE and method == UPLOAD and is_id(duplicate) and 200 <= reply.status < 300:
        return Duplicate(duplicate, deleted="deleted" in _beside(found, "duplicate_photo_status").lower())
    failure = failure_of_code(code, error.attributes.get("msg", ""), method=method, status=reply.status)
    wait = number(_beside(found, "non_pro_desktop_upload_wait_time"))
    failure.retry_after = float(wait) if wait is not None else None
    raise failure


def _beside(found: dict[str, _Element], name: str) -> str:
    """What comes with an error, as an element or as an attribute: clients were seen to read either."""
    if name in found and found[name].content:
        return found[name].content
    return next((found[place].attributes[name] for place in _ERROR_PLACES if name in found[place].attributes), "")


def is_id(text: str) -> bool:
    """Whether it can be the id of a photo: digits, kept as text."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_ID


def _elements(body: bytes) -> list[_Element]:
    """All elements of an XML document, in the order in which they begin; none if it isn't one.

    A document type, which is where XML hides its bombs, makes it none.
    """
    elements: list[_Element] = []
    open_now: list[_Element] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        elements.append(_Element(name, attributes))
        open_now.append(elements[-1])

    def text(data: str) -> None:
        open_now[-1].text.append(data)

    parser = expat.ParserCreate("UTF-8")  # whatever the document says: an unknown one would be asked of Python
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: open_now.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    if len(body) > MOST_BYTES:
        return []
    try:
        parser.Parse(body.strip(), True)
    except (expat.ExpatError, _DocumentType):
        return []
    return elements


class _DocumentType(Exception):
    """Nothing of Flickr's has one."""


def _refuse(*_: object) -> NoReturn:
    raise _DocumentType
