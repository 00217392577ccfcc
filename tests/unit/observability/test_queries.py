"""What a query can get wrong is seen: metrics, labels and values that don't exist, replicas counted twice."""

import pytest

from tests.observability.promql import faults
from tests.unit.observability.known import KNOWN

P95 = "histogram_quantile(0.95, sum by (le, target) (rate(flickrhub_job_seconds_bucket[5m])))"


@pytest.mark.parametrize(
    "query",
    [
        'sum by (target) (rate(flickrhub_jobs_ended_total{outcome!~"completed|cached"}[5m]))',
        P95,
        'max by (queue) (flickrhub_queue_messages{queue=~"flickr[.]delay[.].+"})',
        "min by (key) (flickrhub_budget_left_calls) < on () group_left () 0.02 * max (flickrhub_budget_calls)",
        'up{service="gateway"} == 0',
        "sum (rate(process_cpu_seconds_total[1m]))",
    ],
)
def test_what_fits_the_definitions_passes(query: str) -> None:
    assert faults(query, KNOWN) == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sum (rate(flickrhub_jobs_finished_total[5m]))", "no such metric"),
        ("sum (rate(flickrhub_job_seconds[5m]))", "no such metric"),
        ('sum (rate(flickrhub_jobs_ended_total{method="a"}[5m]))', "no label method"),
        ('sum (rate(flickrhub_jobs_ended_total{outcome="lost"}[5m]))', "outcome is never lost"),
        ('sum (rate(flickrhub_jobs_ended_total{outcome=~"completed|lost"}[5m]))', "outcome is never lost"),
        ("sum by (method) (rate(flickrhub_jobs_ended_total[5m]))", "no label method to group by"),
        ("sum without (outcome) (rate(flickrhub_jobs_ended_total[5m]))", "use `by`"),
        ("sum by (outcome) (flickrhub_jobs_ended_total)", "only its rate"),
        ("sum by (outcome) (delta(flickrhub_jobs_ended_total[5m]))", "no gauge"),
        ("max by (queue) (rate(flickrhub_queue_messages[5m]))", "no counter"),
        ("sum by (queue) (flickrhub_queue_messages)", "by max, not by sum"),
        ("max by (key) (flickrhub_budget_left_calls)", "by min, not by max"),
        ("rate(flickrhub_jobs_ended_total[5m])", "by sum, not by nothing"),
        ("histogram_quantile(0.95, sum by (target) (rate(flickrhub_job_seconds_bucket[5m])))", "grouped by `le`"),
        ("histogram_quantile(0.95, sum by (target) (rate(flickrhub_job_seconds_sum[5m])))", "no buckets"),
        (f"{P95} and on (queue) {P95}", "no label queue"),
        ("sum (rate(flickrhub_jobs_ended_total))", "can't be read"),
        ("sum (", "can't be read"),
    ],
)
def test_what_does_not_fit_them_is_told(query: str, fault: str) -> None:
    assert any(fault in each for each in faults(query, KNOWN)), faults(query, KNOWN)
