"""The control API under /_sim, for tests and demos."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from flickr_sim import images
from flickr_sim.credentials import App
from flickr_sim.faults import Fault
from flickr_sim.settings import HEX_KEY, HEX_SECRET
from flickr_sim.simulator import Simulator
from flickr_sim.tickets import TicketOrder
from flickr_sim.world.models import Photo


class AppIn(BaseModel):
    """An application to register."""

    model_config = ConfigDict(extra="forbid")

    api_key: Annotated[str, Field(pattern=HEX_KEY, description="32 hex digits")]
    api_secret: Annotated[str, Field(pattern=HEX_SECRET, description="16 hex digits")]


class SearchDelay(BaseModel):
    """How late the search index is."""

    model_config = ConfigDict(extra="forbid")

    lag_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AsciiJSON(JSONResponse):
    """JSON in which anything can be said, lone surrogates too; Starlette's own form fails on those."""

    def render(self, content: Any) -> bytes:
        """Write the body."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


async def refuse_input(_request: Request, error: Exception) -> AsciiJSON:
    """Answer 422 with what is wrong, and without the input: FastAPI's own answer fails on NaN and lone surrogates."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [{name: problem[name] for name in ("loc", "msg", "type")} for problem in error.errors()]
    return AsciiJSON({"detail": problems}, status_code=422)


def control_api(simulator: Simulator) -> APIRouter:
    """Build the routes of the control API for one simulator."""
    api = APIRouter(prefix="/_sim", tags=["control"])
    _add_state_routes(api, simulator)
    _add_fault_routes(api, simulator)
    _add_upload_routes(api, simulator)

    @api.post("/apps", status_code=201)
    async def register_app(app: AppIn) -> dict[str, str]:
        """Register an application, or give a registered one a new secret."""
        simulator.credentials.register(App(app.api_key, app.api_secret))
        return {"api_key": app.api_key}

    @api.delete("/tokens/{oauth_token}", status_code=204)
    async def revoke_token(oauth_token: str) -> None:
        """Revoke an access token, as its user does on Flickr's account page."""
        if not simulator.credentials.revoke(oauth_token):
            raise HTTPException(404, "There is no such access token.")

    return api


def _add_state_routes(api: APIRouter, simulator: Simulator) -> None:
    @api.get("/calls")
    async def calls(
        after: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int | None, Query(ge=1)] = None
    ) -> AsciiJSON:
        """List the calls received whose number is greater than `after`, oldest first, at most `limit` of them."""
        return AsciiJSON([call.as_json() for call in simulator.calls.after(after, limit=limit)])

    @api.get("/photos")
    async def photos(owner: str | None = None, uploaded: bool = False) -> AsciiJSON:
        """List all photos, oldest first: of one person (NSID, username or alias), or only those that were sent here."""
        person = simulator.world.person(owner) if owner is not None else None
        return AsciiJSON(
            [
                _photo(photo)
                for photo in simulator.world.photos.values()
                if (owner is None or (person is not None and photo.owner == person.nsid))
                and (photo.file is not None or not uploaded)
            ]
        )

    @api.delete("/state", status_code=204)
    async def start_afresh() -> None:
        """Start afresh: world, calls, faults, tokens and apps; the demo pair stays."""
        simulator.reset()


def _add_fault_routes(api: APIRouter, simulator: Simulator) -> None:
    @api.post("/faults", status_code=201)
    async def order_fault(fault: Fault) -> AsciiJSON:
        """Queue a fault; the first one that fits a call happens to it."""
        simulator.faults.order(fault)
        return AsciiJSON(fault.model_dump(), status_code=201)

    @api.get("/faults")
    async def waiting_faults() -> AsciiJSON:
        """List the faults that have calls left."""
        return AsciiJSON(simulator.faults.waiting())

    @api.delete("/faults", status_code=204)
    async def clear_faults() -> None:
        """Call every fault off."""
        simulator.faults.reset()


def _add_upload_routes(api: APIRouter, simulator: Simulator) -> None:
    @api.post("/tickets", status_code=201)
    async def order_tickets(order: TicketOrder) -> AsciiJSON:
        """Say how the next tickets of asynchronous uploads go."""
        simulator.tickets.give(order)
        return AsciiJSON(order.model_dump(), status_code=201)

    @api.post("/search")
    async def delay_search(delay: SearchDelay) -> AsciiJSON:
        """Say how late flickr.photos.search shows an uploaded photo, from now on and for those that are there."""
        simulator.world.rules.search_lag_seconds = delay.lag_seconds
        return AsciiJSON(delay.model_dump())


def _photo(photo: Photo) -> dict[str, Any]:
    return {
        "id": photo.id,
        "owner": photo.owner,
        "title": photo.title,
        "tags": [tag.raw for tag in photo.tags if not tag.machine],
        "machine_tags": [tag.raw for tag in photo.tags if tag.machine],
        "bytes": photo.file.size if photo.file else len(images.jpeg(photo.id)),
        "sha256": photo.file.sha256 if photo.file else images.digest(photo.id),
        "replaced": photo.replaced,
    }
