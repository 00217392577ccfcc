"""flickr.photos.upload: asking after asynchronous uploads."""

from flickr_sim.methods.call import Method, MethodCall, Payload


def check_tickets(call: MethodCall) -> Payload:
    """flickr.photos.upload.checkTickets; no upload is simulated yet, so every ticket is one nobody knows."""
    return {"uploader": {"ticket": [{"id": ticket, "invalid": 1} for ticket in call.words("tickets")]}}


METHODS: dict[str, Method] = {"flickr.photos.upload.checkTickets": check_tickets}
