"""What the notifier counts of what: kinds of answers, all of them known, and nothing of a receiver's in a label."""

from typing import get_args

import pytest

from flickrhub_common.call_client import Reason
from flickrhub_common.metrics import OTHER, Metrics
from flickrhub_notifier.adapters.meter import ATTEMPTS, NOTIFIER_METRICS, PrometheusMeter, attempt_outcome
from flickrhub_notifier.models import Answer
from flickrhub_notifier.usecases.judge_endpoint import SILENT_ERRORS, STRAINED_ERRORS
from tests.support.metrics_pages import figure, series_of


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200), "delivered"),
        (Answer(299), "delivered"),
        (Answer(302), "redirected"),
        (Answer(404), "http_4xx"),
        (Answer(410), "gone"),
        (Answer(429), "rate_limited"),
        (Answer(503), "http_5xx"),
        (Answer(200, "too_slow"), "timeout"),
        (Answer(error="timeout"), "timeout"),
        (Answer(error="refused_address"), "refused_address"),
        (Answer(error="dns_error"), "dns_error"),
        (Answer(999), OTHER),
        (Answer(error="anything"), OTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_kind_of_an_attempts_end(answer: Answer, kind: str) -> None:
    assert attempt_outcome(answer) == kind


@pytest.mark.parametrize("error", sorted(SILENT_ERRORS | STRAINED_ERRORS | {*get_args(Reason)}))
def test_no_error_of_an_attempt_is_of_an_unknown_kind(error: str) -> None:
    assert attempt_outcome(Answer(error=error)) != OTHER


def test_whatever_a_receiver_answers_makes_no_series_but_other() -> None:
    metrics = Metrics(NOTIFIER_METRICS)
    meter = PrometheusMeter(metrics)
    before = series_of(metrics.render().decode())
    for status in range(0, 10_000, 7):
        meter.attempted(Answer(status), seconds=0.1)
    meter.attempted(Answer(error="evil.example"), seconds=0.1)
    after = series_of(metrics.render().decode())
    assert {dict(labels).get("outcome") for _, labels in after.keys() - before.keys()} == {OTHER}
    assert sum(value for (name, _), value in after.items() if name == ATTEMPTS.name) == len(range(0, 10_000, 7)) + 1
    assert figure(after, ATTEMPTS.name, outcome="delivered") == len([s for s in range(0, 10_000, 7) if 200 <= s < 300])
