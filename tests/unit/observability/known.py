"""The metrics that exist, as docs/metrics.md is made from them."""

from flickrhub_auth.adapters.meter import AUTH_METRICS
from flickrhub_common.metrics import Metric
from flickrhub_common.service_metrics import EVERY_SERVICE
from flickrhub_executor.adapters.meter import EXECUTOR_METRICS
from flickrhub_gateway.adapters.meter import GATEWAY_METRICS
from flickrhub_notifier.adapters.meter import NOTIFIER_METRICS
from tests.observability.promql import series_of

METRICS: tuple[Metric, ...] = (*EVERY_SERVICE, *GATEWAY_METRICS, *AUTH_METRICS, *EXECUTOR_METRICS, *NOTIFIER_METRICS)
KNOWN = series_of(METRICS)
