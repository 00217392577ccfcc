"""Brings one stored job to its executor."""

import json

from flickrhub_common.contracts import JobRequested
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.telemetry import resumed
from flickrhub_gateway.models import Job
from flickrhub_gateway.ports import JobSender
from flickrhub_gateway.usecases.mark_published import MarkPublished

log = logger(__name__)


class PublishJob:
    """Sends a job, in the trace of the request that brought it, and notes that the broker has it."""

    def __init__(self, sender: JobSender, published: MarkPublished) -> None:
        self._sender = sender
        self._published = published

    async def __call__(self, job: Job) -> bool:
        """Whether the broker confirmed it; if not, it is still to be published."""
        try:
            with resumed(job.trace_headers):
                await self._sender.send_job(message_of(job))
        except Unavailable:
            log.debug("job_not_published", job_id=job.id)
            return False
        self._published.note(job)
        return True


def message_of(job: Job) -> JobRequested:
    """The job as its executor gets it, first attempt."""
    return JobRequested(
        job_id=job.id,
        user_id=job.user_id,
        target=job.target,
        method=job.method,
        params=json.loads(job.params),
        callback=job.callback,
        meta=None if job.meta is None else json.loads(job.meta),
        trace_id=job.trace_id,
        accepted_at=job.created_at,
    )
