"""The depth of every queue, by asking RabbitMQ over AMQP: what can be seen without its management API.

One service asks for all of them, because whoever should consume a queue may not run.
"""

import time
from collections.abc import Callable

from flickrhub_common.broker import Messaging
from flickrhub_common.metrics import Across, Label, Metrics, Sample, gauge
from flickrhub_common.topology import DEAD_LETTER_QUEUES, DELAY_LEVELS, WORK_QUEUES, delay_queue

QUEUES = (*WORK_QUEUES, *DEAD_LETTER_QUEUES, *(delay_queue(level) for level in range(DELAY_LEVELS)))
_QUEUE = Label("queue", QUEUES)

DEPTH = gauge(
    "flickrhub_queue_messages",
    "Messages that lie ready in a queue, a dead-letter queue or one of the delay ladder (`flickr.delay.NN`, where what"
    " waits is ready). What is in a consumer's hands isn't among them: `flickrhub_messages_in_hand`.",
    _QUEUE,
    across=Across.MAX,
)
CONSUMERS = gauge(
    "flickrhub_queue_consumers",
    "Consumers that RabbitMQ knows of a queue, of all processes; of dead-letter and delay queues normally none.",
    _QUEUE,
    across=Across.MAX,
)
NOT_EMPTY = gauge(
    "flickrhub_queue_not_empty_seconds",
    "For how long a queue was never seen empty by this gateway, 0 while it is. It looks when its metrics are asked for,"
    " and the first look that finds something counts as the beginning, in a new process too: what lies there may be"
    " older. A busy queue may never be seen empty: how old its messages are when taken tells"
    " `flickrhub_queue_wait_seconds`.",
    _QUEUE,
    across=Across.MAX,
)
QUEUE_METRICS = (DEPTH, CONSUMERS, NOT_EMPTY)


def watch_queues(metrics: Metrics, messaging: Messaging, *, now: Callable[[], float] = time.monotonic) -> None:
    """Have the depth of every queue shown."""
    depth, consumers, not_empty = (metrics.gauge(metric) for metric in QUEUE_METRICS)
    since: dict[str, float] = {}

    async def take() -> None:
        depths, seen = await messaging.depths(QUEUES), now()
        for shown in (depth, consumers, not_empty):
            shown.forget()  # of a queue that is gone, what was seen of it last
        for queue in since.keys() - depths.keys():
            del since[queue]
        for queue, found in depths.items():
            depth.set(found.messages, queue)
            consumers.set(found.consumers, queue)
            if found.messages:
                not_empty.set(seen - since.setdefault(queue, seen), queue)
            else:
                since.pop(queue, None)
                not_empty.set(0, queue)

    metrics.samples.append(Sample((depth, consumers, not_empty), take))
