"""The command ``reseal``: the callback secrets of jobs, and of those among the dead letters, under the newest key."""

from flickrhub_common.commands import carry_out
from flickrhub_common.mongo import make_mongo
from flickrhub_common.resealing import Place, Reseal
from flickrhub_common.sealed_documents import SCAN_SECONDS
from flickrhub_common.sealed_letters import SealedLetters
from flickrhub_common.topology import FLICKR_DLQ
from flickrhub_gateway.adapters.jobs import MongoJobs, sealed_jobs
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_gateway.usecases.enqueue_job import SECRET_PURPOSE
from flickrhub_gateway.wiring import SERVICE


async def reseal(settings: GatewaySettings, *, wait_seconds: float) -> int:
    """Carry it out; the exit status. Dead letters last: an open job may still become one."""
    async with make_mongo(settings, service=SERVICE, operation_seconds=SCAN_SECONDS) as mongo:
        database = mongo[settings.mongo_db]
        places: list[Place] = [
            sealed_jobs(database, purpose=SECRET_PURPOSE),
            SealedLetters(settings, FLICKR_DLQ, purpose=SECRET_PURPOSE),
        ]
        return await carry_out(
            Reseal(places, settings.key_ring()), wait_seconds=wait_seconds, prepare=MongoJobs(database).make_indexes
        )
