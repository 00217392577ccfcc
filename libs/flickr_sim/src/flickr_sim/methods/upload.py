"""flickr.photos.upload: asking after asynchronous uploads."""

from flickr_sim.methods.call import Method, MethodCall, Payload
from flickr_sim.world.models import DONE, Ticket


def check_tickets(call: MethodCall) -> Payload:
    """flickr.photos.upload.checkTickets, for anybody who knows the tickets."""
    tickets = call.world.tickets
    return {"uploader": {"ticket": [_state(ticket, tickets.get(ticket)) for ticket in call.words("tickets")]}}


def _state(ticket_id: str, ticket: Ticket | None) -> Payload:
    if ticket is None:
        return {"id": ticket_id, "invalid": 1}
    if ticket.complete == DONE:
        return {"id": ticket_id, "complete": DONE, "photoid": ticket.arrival.photo_id, "imported": None}
    return {"id": ticket_id, "complete": ticket.complete}


METHODS: dict[str, Method] = {"flickr.photos.upload.checkTickets": check_tickets}
