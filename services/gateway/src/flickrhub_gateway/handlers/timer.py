"""What happens by itself, from time to time."""

from flickrhub_common.background import every
from flickrhub_gateway.usecases.sweep_jobs import SweepJobs


async def sweep(seconds: float, sweep_jobs: SweepJobs) -> None:
    """Publish what was never confirmed, every so many seconds, until cancelled."""
    await every(seconds, sweep_jobs)
