"""What the gateway counts, for operators: the definitions, and the port ``Meter`` on them."""

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import Target
from flickrhub_common.method_classes import CLASSES, class_of
from flickrhub_common.metrics import Across, Label, Metrics, Sample, counter, gauge
from flickrhub_common.queue_metrics import QUEUE_METRICS
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.models import Job
from flickrhub_gateway.ports import Meter

ACCEPTED = counter(
    "flickrhub_jobs_accepted_total",
    "Jobs that were stored and answered with 202. `class` is `write` for methods that change something at Flickr, for"
    " uploads and replacements; a method that nobody knows is a `read`.",
    Label("target", tuple(target.value for target in Target)),
    Label("class", CLASSES),
)
UNPUBLISHED = gauge(
    "flickrhub_oldest_unpublished_job_seconds",
    "Age of the oldest job that RabbitMQ hasn't confirmed, 0 if there is none; a few seconds are normal, since marks"
    " are put off. NaN while MongoDB can't be asked.",
    across=Across.MAX,
)
GATEWAY_METRICS = (ACCEPTED, UNPUBLISHED, *QUEUE_METRICS)


class PrometheusMeter(Meter):
    """Implements the port ``Meter``."""

    def __init__(self, metrics: Metrics) -> None:
        self._accepted = metrics.counter(ACCEPTED)

    def accepted(self, job: Job) -> None:
        """A job was stored."""
        self._accepted.add(job.target.value, class_of(job.target, job.method))


def watch_unpublished(metrics: Metrics, jobs: MongoJobs, clock: Clock) -> None:
    """Have the age of the oldest unpublished job shown."""
    oldest = metrics.gauge(UNPUBLISHED)

    async def take() -> None:
        accepted_at = await jobs.oldest_unpublished()
        oldest.set(0 if accepted_at is None else max(0.0, (clock.now() - accepted_at).total_seconds()))

    metrics.samples.append(Sample((oldest,), take))
