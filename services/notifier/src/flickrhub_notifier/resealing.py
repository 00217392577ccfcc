"""The command ``reseal``: the secrets of deliveries, and of events among the dead letters, under the newest key."""

from flickrhub_common.commands import carry_out
from flickrhub_common.mongo import make_mongo
from flickrhub_common.resealing import Place, Reseal
from flickrhub_common.sealed_documents import SCAN_SECONDS
from flickrhub_common.sealed_letters import SealedLetters, UnreadEvents
from flickrhub_common.topology import CALLBACK_DLQ, NOTIFIER_JOB_EVENTS
from flickrhub_notifier.adapters.deliveries import sealed_deliveries
from flickrhub_notifier.settings import NotifierSettings
from flickrhub_notifier.usecases.sign_post import SECRET_PURPOSE
from flickrhub_notifier.wiring import SERVICE


async def reseal(settings: NotifierSettings, *, wait_seconds: float) -> int:
    """Carry it out; the exit status. Unread events first: each may become a delivery."""
    async with make_mongo(settings, service=SERVICE, operation_seconds=SCAN_SECONDS) as mongo:
        places: list[Place] = [
            UnreadEvents(settings, NOTIFIER_JOB_EVENTS),
            sealed_deliveries(mongo[settings.mongo_db], purpose=SECRET_PURPOSE),
            SealedLetters(settings, CALLBACK_DLQ, purpose=SECRET_PURPOSE),
        ]
        return await carry_out(Reseal(places, settings.key_ring()), wait_seconds=wait_seconds)
