"""The command ``reseal``: tokens and pending authorisations under the newest key."""

from contextlib import aclosing

from flickrhub_auth.adapters.pending import SealedPending
from flickrhub_auth.adapters.tokens import sealed_tokens
from flickrhub_auth.settings import AuthSettings
from flickrhub_auth.wiring import SERVICE
from flickrhub_common.commands import carry_out
from flickrhub_common.mongo import make_mongo
from flickrhub_common.redis import make_redis
from flickrhub_common.resealing import Place, Reseal
from flickrhub_common.sealed_documents import SCAN_SECONDS


async def reseal(settings: AuthSettings, *, wait_seconds: float) -> int:
    """Carry it out; the exit status."""
    async with (
        make_mongo(settings, service=SERVICE, operation_seconds=SCAN_SECONDS) as mongo,
        aclosing(make_redis(settings, max_connections=2)) as redis,
    ):
        places: list[Place] = [*sealed_tokens(mongo[settings.mongo_db]), SealedPending(redis)]
        return await carry_out(Reseal(places, settings.key_ring()), wait_seconds=wait_seconds)
