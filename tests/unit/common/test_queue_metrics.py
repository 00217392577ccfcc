"""What is shown of queues by what RabbitMQ says of them."""

import itertools
from collections.abc import Iterable
from typing import cast

import pytest

from flickrhub_common.broker import Messaging
from flickrhub_common.link import Depth
from flickrhub_common.metrics import Metric, Metrics
from flickrhub_common.queue_metrics import QUEUE_METRICS, watch_queues
from tests.support.metrics_pages import figure, series_of

QUEUE, OTHER = "flickr_rest", "flickr_dlq"


class Broker:
    """Says what lies in the queues it has."""

    def __init__(self, **depths: Depth) -> None:
        self.has = depths

    async def depths(self, _: Iterable[str]) -> dict[str, Depth]:
        return dict(self.has)


async def test_a_queue_is_never_empty_for_less_than_no_time() -> None:
    times = itertools.count()
    broker = Broker(**{QUEUE: Depth(messages=7, consumers=2)})
    metrics = Metrics(QUEUE_METRICS)
    watch_queues(metrics, cast(Messaging, broker), now=lambda: float(next(times)))
    found = []
    for _ in range(2):
        await metrics.samples[0].take()
        found.append(figure(series_of(metrics.render().decode()), "flickrhub_queue_not_empty_seconds", queue=QUEUE))
    assert found == [0, 1]


@pytest.mark.parametrize("metric", QUEUE_METRICS, ids=lambda metric: metric.name)
async def test_nothing_is_shown_of_a_queue_that_is_gone_until_it_is_back(metric: Metric) -> None:
    now = 0.0
    broker = Broker(**{QUEUE: Depth(messages=7, consumers=2), OTHER: Depth(messages=0, consumers=0)})
    metrics = Metrics(QUEUE_METRICS)
    watch_queues(metrics, cast(Messaging, broker), now=lambda: now)

    async def shown() -> dict[str, float]:
        await metrics.samples[0].take()
        found = series_of(metrics.render().decode())
        return {dict(labels)["queue"]: value for (name, labels), value in found.items() if name == metric.name}

    assert (await shown()).keys() == {QUEUE, OTHER}
    queue = broker.has.pop(QUEUE)
    now = 100.0
    assert (await shown()).keys() == {OTHER}
    broker.has[QUEUE] = queue
    expected = {"flickrhub_queue_messages": 7, "flickrhub_queue_consumers": 2, "flickrhub_queue_not_empty_seconds": 0}
    assert (await shown())[QUEUE] == expected[metric.name]
