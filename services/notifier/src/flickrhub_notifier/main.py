"""Starts the notifier."""

from flickrhub_common import logs
from flickrhub_common.server import serve
from flickrhub_common.settings import load
from flickrhub_common.telemetry import make_tracer_provider
from flickrhub_notifier.settings import NotifierSettings
from flickrhub_notifier.wiring import SERVICE, build_app


def run() -> None:
    """Run until SIGTERM."""
    settings = load(NotifierSettings)
    logs.configure(settings, service=SERVICE)
    provider = make_tracer_provider(settings, service=SERVICE)
    serve(build_app(settings, tracer_provider=provider), settings)
