"""Starts the gateway, or carries out a command of an operator's."""

import asyncio
import sys

from fastapi import FastAPI

from flickrhub_common import logs
from flickrhub_common.commands import Reseal, read_command
from flickrhub_common.metrics import Metrics
from flickrhub_common.server import serve
from flickrhub_common.settings import load
from flickrhub_common.telemetry import make_tracer_provider
from flickrhub_gateway import resealing, wiring
from flickrhub_gateway.handlers.uploads import UPLOADS_PATH
from flickrhub_gateway.settings import GatewaySettings


def build(settings: GatewaySettings, *, metrics: Metrics | None = None) -> FastAPI:
    """The app with everything real behind it."""
    tracer_provider = make_tracer_provider(settings, service=wiring.SERVICE)
    return wiring.make_gateway_app(
        wiring.lifespan(settings, tracer_provider, metrics), tracer_provider=tracer_provider, origins=settings.origins()
    )


def run() -> None:
    """Serve until told to stop, or carry out the command."""
    command = read_command("flickrhub_gateway", sys.argv[1:])
    settings = load(GatewaySettings)
    logs.configure(settings, service=wiring.SERVICE)
    if isinstance(command, Reseal):
        sys.exit(asyncio.run(resealing.reseal(settings, wait_seconds=command.wait_seconds)))
    metrics = wiring.new_metrics()
    serve(build(settings, metrics=metrics), settings, metrics=metrics, own_pace=frozenset({UPLOADS_PATH}))
