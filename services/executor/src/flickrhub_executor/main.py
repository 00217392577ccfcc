"""Starts the executor."""

from flickrhub_common import logs
from flickrhub_common.server import serve
from flickrhub_common.settings import load
from flickrhub_common.telemetry import make_tracer_provider
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_executor.wiring import build_app, new_metrics, service_name


def run() -> None:
    """Run until SIGTERM."""
    settings = load(ExecutorSettings)
    logs.configure(settings, service=service_name(settings))
    provider = make_tracer_provider(settings, service=service_name(settings))
    metrics = new_metrics(settings)
    serve(build_app(settings, tracer_provider=provider, metrics=metrics), settings, metrics=metrics, probes_only=True)
