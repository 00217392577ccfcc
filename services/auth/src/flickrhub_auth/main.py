"""Starts auth."""

from flickrhub_auth.settings import AuthSettings
from flickrhub_auth.wiring import SERVICE, build_app
from flickrhub_common import logs
from flickrhub_common.server import serve
from flickrhub_common.settings import load
from flickrhub_common.telemetry import make_tracer_provider


def run() -> None:
    """Run until SIGTERM."""
    settings = load(AuthSettings)
    logs.configure(settings, service=SERVICE)
    provider = make_tracer_provider(settings, service=SERVICE)
    serve(build_app(settings, tracer_provider=provider), settings)
