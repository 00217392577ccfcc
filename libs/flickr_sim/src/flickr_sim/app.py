"""Put the simulator together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flickr_sim.authorize import authorize
from flickr_sim.control import control_api, refuse_input
from flickr_sim.endpoint import Endpoint, UploadEndpoint
from flickr_sim.handshake import access_token, request_token
from flickr_sim.images import image
from flickr_sim.rest import Rest
from flickr_sim.settings import Settings
from flickr_sim.simulator import Simulator
from flickr_sim.uploads import Uploads

BOTH = ("GET", "POST")


def create_app(settings: Settings | None = None, simulator: Simulator | None = None) -> FastAPI:
    """Build the application of a fresh simulator (or of one a test has prepared); `app.state.simulator` is it."""
    simulator = simulator or Simulator(settings or Settings())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        simulator.close()

    app = FastAPI(title="flickr_sim", description="A simulator of the Flickr API.", lifespan=lifespan)
    app.state.simulator = simulator
    app.router.routes[:0] = _flickr_routes(simulator)
    app.include_router(control_api(simulator))
    app.add_exception_handler(RequestValidationError, refuse_input)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the simulator runs."""
        return {"status": "ok"}

    app.router.routes.append(Route("/{server}/{name}.jpg", ImageHost(simulator)))
    return app


def _flickr_routes(simulator: Simulator) -> list[Route]:
    """Return Flickr's own addresses, REST first because it is asked most."""
    rest = Endpoint(simulator, kind="rest", answer_of=Rest(simulator), verbs=BOTH)
    routes = [Route("/services/rest/", rest), Route("/services/rest", rest)]
    for step in (request_token, authorize, access_token):
        endpoint = Endpoint(simulator, kind="oauth", answer_of=partial(step, simulator), verbs=BOTH)
        routes.append(Route(f"/services/oauth/{step.__name__}", endpoint))
    uploads = Uploads(simulator)
    for kind, answer_of in (("upload", uploads.upload), ("replace", uploads.replace)):
        taking = UploadEndpoint(simulator, kind=kind, answer_of=answer_of, verbs=("POST",))
        routes += [Route(f"/services/{kind}/", taking), Route(f"/services/{kind}", taking)]
    return routes


class ImageHost:
    """Serve the images whose addresses the methods give out."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one image."""
        found = scope["path_params"]
        await image(self._simulator.world, server=found["server"], name=found["name"]).send(send)
