"""One REST call to Flickr and what its answer means, counted."""

from flickrhub_executor.errors import CallFailed
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply
from flickrhub_executor.ports import Flickr, Meter
from flickrhub_executor.usecases.judge_reply import Success, judge


async def call_and_judge(
    flickr: Flickr, call: FlickrCall, credentials: Credentials, meter: Meter, *, repeated: bool
) -> tuple[FlickrReply, Success]:
    """Flickr's answer, as it came and as it is meant. Raises CallFailed; ``repeated`` is as in ``judge``."""
    seconds: float | None = None
    try:
        reply = await flickr.call(call, credentials)
        seconds = reply.duration_ms / 1000
        success = judge(reply, method=call.method, repeated=repeated)
    except CallFailed as failure:
        meter.called(call.http_method, seconds=seconds, failure=failure)
        raise
    meter.called(call.http_method, seconds=seconds, failure=None)
    return reply, success
