"""The messages the notifier reads. Ended jobs and repeated attempts have places of their own, so that neither waits."""

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import CallbackDue, JobCompleted, JobFailed
from flickrhub_common.topology import NOTIFIER_CALLBACKS_DUE, NOTIFIER_JOB_EVENTS
from flickrhub_notifier.usecases import ContinueDelivery, StartDelivery


def subscribe_ended(messaging: Messaging, start: StartDelivery, *, concurrency: int) -> None:
    """Have the callbacks of ended jobs sent."""

    async def on_job_ended(event: JobCompleted | JobFailed) -> None:
        await start(event)

    messaging.subscribe(NOTIFIER_JOB_EVENTS, (JobCompleted, JobFailed), on_job_ended, concurrency=concurrency)


def subscribe_due(messaging: Messaging, resume: ContinueDelivery, *, concurrency: int) -> None:
    """Have deliveries continued that are due again."""

    async def on_callback_due(due: CallbackDue) -> None:
        await resume(due)

    messaging.subscribe(NOTIFIER_CALLBACKS_DUE, (CallbackDue,), on_callback_due, concurrency=concurrency)
