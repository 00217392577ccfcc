"""Tells a user how its job is."""

from flickrhub_common.errors import JobNotFound
from flickrhub_gateway.models import JobReport, is_uuid
from flickrhub_gateway.ports import Jobs


class ReadJobStatus:
    """Reads one job of one user; another user's job is as unknown as one that never was."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def __call__(self, *, job_id: str, user_id: str) -> JobReport:
        """The job. Raises JobNotFound and Unavailable."""
        found = None
        if is_uuid(job_id) and is_uuid(user_id):
            found = await self._jobs.find(job_id.lower(), user_id=user_id.lower())
        if found is None:
            raise JobNotFound
        return found
