"""What happens by itself, from time to time."""

from flickrhub_common.background import every
from flickrhub_gateway.usecases.sweep_jobs import SweepJobs
from flickrhub_gateway.usecases.sweep_uploads import SweepUploads


async def sweep(seconds: float, sweep_jobs: SweepJobs) -> None:
    """Publish what was never confirmed, every so many seconds, until cancelled."""
    await every(seconds, sweep_jobs)


async def sweep_uploads(seconds: float, sweep_uploads: SweepUploads) -> None:
    """Discard photos that have expired, every so many seconds, until cancelled."""
    await every(seconds, sweep_uploads)
