"""The metrics that exist, as docs/metrics.md is made from them."""

from docs.generate import METRICS as DOCUMENTED
from flickrhub_common.metrics import Metric
from tests.observability.promql import series_of

METRICS: tuple[Metric, ...] = tuple(metric for defined in DOCUMENTED.values() for metric in defined)
KNOWN = series_of(METRICS)
