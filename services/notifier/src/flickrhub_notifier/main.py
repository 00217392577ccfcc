"""Starts the notifier, or carries out a command of an operator's."""

import asyncio
import sys

from flickrhub_common import logs
from flickrhub_common.commands import Reseal, read_command
from flickrhub_common.server import serve
from flickrhub_common.settings import load
from flickrhub_common.telemetry import make_tracer_provider
from flickrhub_notifier import resealing
from flickrhub_notifier.settings import NotifierSettings
from flickrhub_notifier.wiring import SERVICE, build_app, new_metrics


def run() -> None:
    """Run until SIGTERM, or until the command is carried out."""
    command = read_command("flickrhub_notifier", sys.argv[1:])
    settings = load(NotifierSettings)
    logs.configure(settings, service=SERVICE)
    if isinstance(command, Reseal):
        sys.exit(asyncio.run(resealing.reseal(settings, wait_seconds=command.wait_seconds)))
    provider = make_tracer_provider(settings, service=SERVICE)
    metrics = new_metrics()
    serve(build_app(settings, tracer_provider=provider, metrics=metrics), settings, metrics=metrics, probes_only=True)
