"""What is counted of messages: how long they lay in their queues, and what became of them."""

import time
from datetime import datetime

from flickrhub_common.metrics import Label, Metrics, counter, gauge, histogram
from flickrhub_common.topology import WORK_QUEUES

QUEUE = Label("queue", tuple(WORK_QUEUES))
FATES = ("done", "postponed", "dead")

SETTLED = counter(
    "flickrhub_messages_settled_total",
    "Messages taken and settled: `done`, `postponed` (something was away, or its handler crashed: it comes again by"
    " the delay ladder) or `dead` (unreadable, futile or crashed too often: it was buried or its job failed)."
    " `queue=other` is a process's own queue of token events.",
    QUEUE,
    Label("fate", FATES),
)
LAY = histogram(
    "flickrhub_queue_wait_seconds",
    "How long a message had lain ready in its queue when it was taken, without its time in the delay ladder; of one"
    " that is brought again, as its consumer ended, only the first time. In whole seconds, up to one too many, by the"
    " clocks of two machines.",
    QUEUE,
    buckets=(1, 2, 5, 15, 60, 300, 900, 3600, 14400, 86400),
)
IN_HAND = gauge("flickrhub_messages_in_hand", "Messages taken that aren't settled yet, of all queues.")
CONSUMED = gauge(
    "flickrhub_queue_consumed",
    "Whether this process consumes the queue: 1, or 0 if it should and doesn't.",
    QUEUE,
)
MESSAGE_METRICS = (SETTLED, LAY, IN_HAND, CONSUMED)


class MessageMeter:
    """Counts messages; nothing here waits or raises."""

    def __init__(self, metrics: Metrics) -> None:
        self._settled = metrics.counter(SETTLED)
        self._lay = metrics.histogram(LAY)

    def taken(self, queue: str, since: datetime | None) -> None:
        """A message was taken that had been in its queue since then, if that is known."""
        if since is not None:
            self._lay.observe(time.time() - since.timestamp(), queue)

    def settled(self, queue: str, fate: str) -> None:
        """A message has met one of FATES."""
        self._settled.add(queue, fate)
