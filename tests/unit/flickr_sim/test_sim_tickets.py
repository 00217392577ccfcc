"""Asynchronous uploads: the ticket, what becomes of it, and what a test may order."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flickr_sim.settings import Settings
from flickr_sim.simulator import Simulator
from flickr_sim.world.models import Photo
from tests.unit.flickr_sim.caller import JPEG, Caller, Clock

HEAD = '<?xml version="1.0" encoding="utf-8" ?>\n'


@pytest.fixture
async def sim() -> AsyncIterator[Caller]:
    """A simulator whose tickets take ten seconds, of a clock that tests move."""
    clock = Clock()
    caller = Caller(Simulator(Settings(ticket_seconds=10), clock), clock)
    yield caller
    await caller.http.aclose()


def uploaded(sim: Caller) -> list[Photo]:
    return [photo for photo in sim.simulator.world.photos.values() if photo.file is not None]


async def ticket_of(sim: Caller, kind: str = "upload", **fields: str) -> str:
    answer = await sim.upload(sim.grant("write"), kind=kind, **{"async": "1", **fields})
    found = re.fullmatch(
        re.escape(HEAD) + r'<rsp stat="ok">\n<ticketid>(101234567-72157\d{12})</ticketid>\n</rsp>\n', answer.text
    )
    assert found is not None, answer.text
    return found[1]


async def state_of(sim: Caller, ticket: str) -> Any:
    (state,) = (await sim.ok("flickr.photos.upload.checkTickets", tickets=ticket))["uploader"]["ticket"]
    return state


async def test_the_photo_appears_when_the_ticket_completes(sim: Caller) -> None:
    ticket = await ticket_of(sim, title="t", tags="hub:job=1")
    assert await state_of(sim, ticket) == {"id": ticket, "complete": 0}
    assert not uploaded(sim)
    found = await sim.ok("flickr.photos.search", machine_tags="hub:job=1")
    assert found["photos"]["total"] == 0
    sim.clock.moved = 11
    found = await sim.ok("flickr.photos.search", machine_tags="hub:job=1")
    (photo,) = uploaded(sim)
    assert [one["id"] for one in found["photos"]["photo"]] == [photo.id]
    assert await state_of(sim, ticket) == {"id": ticket, "complete": 1, "photoid": photo.id, "imported": None}


async def test_tickets_are_asked_after_together_and_in_xml(sim: Caller) -> None:
    await sim.http.post("/_sim/tickets", json={"seconds": 0})
    await sim.http.post("/_sim/tickets", json={"seconds": 0, "complete": 2})
    done, failed, pending = [await ticket_of(sim) for _ in range(3)]
    names = ",".join([done, pending, failed, "131"])
    answer = await sim.rest("flickr.photos.upload.checkTickets", tickets=names, format="rest")
    (photo,) = uploaded(sim)
    lines = [
        "<uploader>",
        f'\t<ticket id="{done}" complete="1" photoid="{photo.id}" imported="" />',
        f'\t<ticket id="{pending}" complete="0" />',
        f'\t<ticket id="{failed}" complete="2" />',
        '\t<ticket id="131" invalid="1" />',
        "</uploader>",
    ]
    assert answer.text == f'{HEAD}<rsp stat="ok">\n' + "\n".join(lines) + "\n</rsp>\n"


async def test_a_failed_ticket_makes_no_photo(sim: Caller) -> None:
    await sim.http.post("/_sim/tickets", json={"complete": 2})
    ticket = await ticket_of(sim)
    assert (await state_of(sim, ticket))["complete"] == 0
    sim.clock.moved = 11
    assert await state_of(sim, ticket) == {"id": ticket, "complete": 2}
    assert not uploaded(sim)


async def test_orders_hold_for_as_many_tickets_as_they_say(sim: Caller) -> None:
    order = await sim.http.post("/_sim/tickets", json={"seconds": 0, "times": 2})
    assert (order.status_code, order.json()) == (201, {"seconds": 0.0, "complete": None, "times": 2})
    tickets = [await ticket_of(sim) for _ in range(3)]
    assert [(await state_of(sim, ticket))["complete"] for ticket in tickets] == [1, 1, 0]
    await sim.http.post("/_sim/tickets", json={"complete": 2, "seconds": 0, "times": -1})
    tickets = [await ticket_of(sim) for _ in range(3)]
    assert [(await state_of(sim, ticket))["complete"] for ticket in tickets] == [2, 2, 2]
    await sim.http.delete("/_sim/state")
    ticket = await ticket_of(sim)
    sim.clock.moved = 11
    assert (await state_of(sim, ticket))["complete"] == 1


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"times": 3},
        {"seconds": -1},
        {"seconds": "soon"},
        {"complete": 0},
        {"complete": 3},
        {"seconds": 1, "times": 0},
        {"seconds": 1, "tickets": ["1"]},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(world_sim: Caller, order: dict[str, Any]) -> None:
    assert (await world_sim.http.post("/_sim/tickets", json=order)).status_code == 422


async def test_tickets_complete_in_the_order_they_fall_due(sim: Caller) -> None:
    await ticket_of(sim, title="slow")
    await sim.http.post("/_sim/tickets", json={"seconds": 3})
    await ticket_of(sim, title="fast")
    sim.clock.moved = 20
    slow, fast = sorted(uploaded(sim), key=lambda photo: photo.title, reverse=True)
    assert slow.joined - fast.joined > 6
    assert slow.posted - fast.posted >= 6


async def test_a_replacement_may_wait_for_a_ticket_too(sim: Caller) -> None:
    photo = next(one for one in sim.simulator.world.photos.values() if one.owner == "101234567@N02")
    ticket = await ticket_of(sim, kind="replace", photo_id=photo.id)
    assert photo.replaced == 0
    sim.clock.moved = 11
    assert (await state_of(sim, ticket))["photoid"] == photo.id
    assert (photo.replaced, uploaded(sim)) == (1, [photo])


async def test_a_replacement_of_a_photo_that_went_meanwhile_fails(sim: Caller) -> None:
    photo = next(one for one in sim.simulator.world.photos.values() if one.owner == "101234567@N02")
    ticket = await ticket_of(sim, kind="replace", photo_id=photo.id)
    await sim.ok("flickr.photos.delete", sim.grant(), photo_id=photo.id)
    sim.clock.moved = 11
    assert await state_of(sim, ticket) == {"id": ticket, "complete": 2}


async def test_a_photo_that_waits_for_its_ticket_is_no_duplicate_yet(sim: Caller) -> None:
    await ticket_of(sim, dedup_check="1")
    ticket = await ticket_of(sim, dedup_check="1")
    sim.clock.moved = 11
    assert (await state_of(sim, ticket))["complete"] == 1
    assert 'code="9"' in (await sim.upload(sim.grant("write"), JPEG, dedup_check="1")).text


async def test_errors_are_answered_at_once_even_if_async(sim: Caller) -> None:
    answer = await sim.upload(sim.grant("write"), b"no photo", **{"async": "1"})
    assert '<err code="5"' in answer.text
