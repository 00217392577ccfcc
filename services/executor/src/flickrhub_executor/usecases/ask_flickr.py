"""What an upload says to Flickr, and how Flickr is asked afterwards what became of it; pure.

A look takes two ways in turns: by search, which finds a photo however many came after it but whose index lags, and
among the account's newest photos, which don't lag (facts/flickr.md, 3.6).
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from flickrhub_common.contracts import JobRequested, Target
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import FlickrCall, json_params
from flickrhub_executor.usecases.judge_upload import is_id
from flickrhub_executor.usecases.next_step import progress_of

_SOURCES = frozenset({"photo_url", "photo_ref", "filename"})
_ME = ("user_id", "me")
_EVERYTHING = (("safe_search", "3"), ("content_type", "7"), ("extras", "machine_tags"), ("per_page", "500"))
"""Else the account's own filters would hide photos of some kinds from it."""


@dataclass(frozen=True)
class Ticket:
    """What Flickr says of a ticket; ``photo_id`` when it is done and the photo named."""

    state: Literal["pending", "done", "failed", "unknown"]
    photo_id: str | None = None


def tag_of(job: JobRequested) -> str:
    """The machine tag that names the job, in the form in which Flickr compares tags: lower-case letters and digits."""
    return f"flickrhub:job={job.job_id.replace('-', '').lower()}"


def fields_of(job: JobRequested) -> tuple[tuple[str, str], ...]:
    """The text fields of an upload or replacement.

    An upload carries its tag, before the client's so that it isn't the one too many, and has Flickr refuse duplicates.
    """
    own = json_params({name: value for name, value in job.params.items() if name not in _SOURCES})
    if job.target is not Target.UPLOAD:
        return own
    tags = f"{tag_of(job)} {dict(own).get('tags', '')}".strip()
    fields = (*((name, value) for name, value in own if name != "tags"), ("tags", tags))
    return (*fields, ("dedup_check", "1")) if progress_of(job).dedup else fields


def look(job: JobRequested) -> FlickrCall:
    """The question whether the photo of a lost attempt is there; the other way after each answer or failure."""
    progress = progress_of(job)
    if (progress.asked + progress.failed) % 2 == 0:
        return FlickrCall("flickr.photos.search", "GET", (_ME, ("machine_tags", tag_of(job)), *_EVERYTHING))
    return FlickrCall("flickr.people.getPhotos", "GET", (_ME, *_EVERYTHING))


def find_photo(flickr: str, tag: str) -> str | None:
    """The id of the photo that carries the tag, by Flickr's answer to a look. Raises TransientFailure if unreadable.

    The tag is compared here, for Flickr leaves out a condition that it doesn't understand.
    """
    photos = _members(json.loads(flickr), "photos", "photo")
    return next((p["id"] for p in photos if tag in str(p.get("machine_tags", "")).split() and _has_id(p, "id")), None)


def poll(ticket: str) -> FlickrCall:
    """The question what became of an asynchronous upload."""
    return FlickrCall("flickr.photos.upload.checkTickets", "GET", (("tickets", ticket),))


def read_ticket(flickr: str, ticket: str) -> Ticket:
    """Flickr's answer to a poll. Raises TransientFailure if unreadable."""
    found = next((t for t in _members(json.loads(flickr), "uploader", "ticket") if t.get("id") == ticket), None)
    if found is None:
        raise _unreadable()
    match str(found.get("complete")):
        case _ if str(found.get("invalid", "0")) != "0":
            return Ticket("unknown")
        case "0":
            return Ticket("pending")
        case "1":
            return Ticket("done", found["photoid"] if _has_id(found, "photoid") else None)
        case "2":
            return Ticket("failed")
    raise _unreadable()


def _members(answer: dict[str, Any], outer: str, inner: str) -> list[dict[str, Any]]:
    """The list in Flickr's JSON; made from XML, a single one may come without its list."""
    found = answer.get(outer)
    members = found.get(inner) if isinstance(found, dict) else None
    members = [members] if isinstance(members, dict) else members
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise _unreadable()
    return members


def _has_id(member: dict[str, Any], name: str) -> bool:
    return isinstance(member.get(name), str) and is_id(member[name])


def _unreadable() -> TransientFailure:
    return TransientFailure("Flickr's answer can't be read.", code="ERR_FLICKR_BAD_REPLY")
