"""Spans are exported by OTLP over HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set: real processes, a collector here."""

from collections import defaultdict
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.callback_receiver import CallbackReceiver, callback_receiver
from tests.support.hub_account import ECHO, connector
from tests.support.own_hub import own_hub, stop
from tests.support.run_env import needed
from tests.support.simulator import simulator


def services_by_trace(collector: CallbackReceiver) -> dict[str, set[str]]:
    """Which services told the collector of each trace."""
    found: dict[str, set[str]] = defaultdict(set)
    for request in collector.at("/v1/traces"):
        for part in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            names = {item.key: item.value.string_value for item in part.resource.attributes}
            for scope in part.scope_spans:
                for span in scope.spans:
                    found[span.trace_id.hex()].add(names["service.name"])
    return found


async def test_every_service_exports_its_part_of_the_trace(tmp_path: Path, receiver: CallbackReceiver) -> None:
    async with callback_receiver() as collector, simulator(needed("SIM_URL")) as sim:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}"}
        async with own_hub(settings, logs=tmp_path, redis_db=6) as hub:
            account = await connector(hub.client, sim)()
            await account.run(ECHO, callback_url=receiver.url("/exported"))
            (received,) = await receiver.received(1, "/exported")
            for process in hub.processes.values():  # what isn't exported yet is exported now
                assert await stop(process) == 0
        trace = received.json()["trace_id"].replace("-", "")
        names = {f"flickrhub-{name}" for name in ("gateway", "auth", "executor-rest", "notifier")}
        assert services_by_trace(collector)[trace] == names
