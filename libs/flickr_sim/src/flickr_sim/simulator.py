"""Everything one simulator holds, in one object, so that several can live in one process."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from flickr_sim.budget import Budget
from flickr_sim.calls import CallLog
from flickr_sim.credentials import App, Credentials
from flickr_sim.faults import Faults
from flickr_sim.journal import Journal
from flickr_sim.settings import Settings
from flickr_sim.tickets import TicketOrders
from flickr_sim.verification import Verifier
from flickr_sim.world import arrivals
from flickr_sim.world.generate import generate
from flickr_sim.world.models import Arrival, File, Photo, Rules, Ticket
from flickr_sim.world.state import World


class Simulator:
    """The world, who may call, what was called, and what is to go wrong."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._journal = Journal(settings.state_file)
        self.clock = clock
        demo = App(settings.demo_api_key, settings.demo_api_secret)
        self.credentials = Credentials(demo=demo, clock=clock, journal=self._journal)
        self.verifier = Verifier(self.credentials, clock)
        self.calls = CallLog(clock)
        self.faults = Faults()
        self.tickets = TicketOrders(settings.ticket_seconds)
        self.budget = Budget(settings.rate_limit_per_hour, clock)
        self._world = self._new_world()
        self._journal.replay(self._remember)
        self._world.on_delete = self._note_deleted

    @property
    def world(self) -> World:
        """The world as it is now: tickets that are due have completed."""
        arrivals.settle(self._world, self.clock())
        return self._world

    def reset(self) -> None:
        """Start afresh: a new world of the same seed, no calls, faults, tokens or apps but the demo pair."""
        self._world = self._new_world()
        self._world.on_delete = self._note_deleted
        self.credentials.reset()
        self.verifier.reset()
        self.calls.reset()
        self.faults.reset()
        self.tickets.reset()
        self.budget.reset()

    def accept(self, arrival: Arrival) -> None:
        """Put a file into the world, and remember it."""
        arrivals.join(self.world, arrival)
        self._journal.write({"event": "arrival", "arrival": asdict(arrival)})

    def promise(self, arrival: Arrival, ticket_id: str) -> Ticket:
        """Put a file into the world later, and remember the ticket for it."""
        seconds, outcome = self.tickets.take()
        ticket = Ticket(ticket_id, outcome, replace(arrival, at=arrival.at + seconds))
        arrivals.promise(self._world, ticket)
        self._journal.write({"event": "ticket", "id": ticket.id, "outcome": outcome, "arrival": asdict(ticket.arrival)})
        return ticket

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _new_world(self) -> World:
        world = generate(self._settings.seed)
        world.rules = Rules(
            max_photo_bytes=self._settings.max_photo_bytes,
            max_video_bytes=self._settings.max_video_bytes,
            search_lag_seconds=self._settings.search_lag_seconds,
        )
        return world

    def _note_deleted(self, photo: Photo) -> None:
        if photo.file is not None:
            self._journal.write({"event": "deleted", "photo_id": photo.id})

    def _remember(self, line: dict[str, Any]) -> None:
        if line["event"] == "arrival":
            arrivals.join(self.world, _arrival(line["arrival"]))
        elif line["event"] == "ticket":
            arrivals.promise(self._world, Ticket(line["id"], line["outcome"], _arrival(line["arrival"])))
        elif line["event"] == "deleted" and line["photo_id"] in self.world.photos:
            self._world.delete_photo(self._world.photos[line["photo_id"]], now=int(self.clock()))


def _arrival(members: dict[str, Any]) -> Arrival:
    return Arrival(**{**members, "file": File(**members["file"])})
