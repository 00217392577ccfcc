"""A job as a document of Mongo's, and what an event changes of it."""

from functools import lru_cache
from typing import Any

from flickrhub_common.contracts import Callback, Failure, Target
from flickrhub_common.mongo import Document, Write, repeatable_update
from flickrhub_gateway.models import Job, JobChange, JobReport, Result, Run, State, sources_of

_OF_ONE_RUN = ("result", "failure", "finished_at", "expires_at", "retry_reason", "next_attempt_at")
"""What a job has by its present run; a replay begins without."""


def document_of(job: Job) -> Document:
    return {
        "_id": job.id,
        "user_id": job.user_id,
        "target": job.target.value,
        "method": job.method,
        "params": job.params,
        "meta": job.meta,
        "callback": None if job.callback is None else job.callback.model_dump(),
        "trace_id": job.trace_id,
        "trace_headers": job.trace_headers,
        "state": State.QUEUED.value,
        "attempts": 0,
        "replays": 0,
        "created_at": job.created_at,
        "updated_at": job.created_at,
        "published_at": None,
    }


def job_of(found: Document) -> Job:
    return Job(
        id=found["_id"],
        user_id=found["user_id"],
        target=Target(found["target"]),
        method=found["method"],
        params=found["params"],
        meta=found["meta"],
        callback=None if found["callback"] is None else Callback(**found["callback"]),
        trace_id=found["trace_id"],
        trace_headers=found["trace_headers"],
        created_at=found["created_at"],
    )


def update_of(change: JobChange) -> Write:
    """A change of a job, where the table of moves allows it."""
    changed = _changed(change)
    moves: Document = {"$set": changed, "$unset": {name: "" for name in _OF_ONE_RUN if name not in changed}}
    if change.replay:
        moves["$max"] = {"replays": change.replay}
    attempts = change.attempts if change.state is State.RETRYING else None
    return repeatable_update({"_id": change.job_id, **_allowed(change.state, change.replay, attempts)}, moves)


@lru_cache(maxsize=512)
def _allowed(state: State, replay: int, attempts: int | None) -> Document:
    """The table of moves as a condition; a job stored before there were replays has no number, which is 0."""
    runs: dict[Run, Document] = {
        Run.SAME: {"replays": replay or {"$in": [0, None]}},
        Run.OLDER: {"replays": {"$gt": replay}},
    }
    if replay:  # no run comes before the first
        runs[Run.NEWER] = {"replays": {"$not": {"$gte": replay}}}
    if attempts is not None:
        runs[Run.SAME]["attempts"] = {"$lt": attempts}
    sources = {run: sorted(sources_of(state, run)) for run in runs}
    if attempts is None and len({*map(tuple, sources.values())}) == 1:  # whatever the run: Mongo needn't ask
        return {"state": {"$in": sources[Run.SAME]}}
    ways = [{**runs[run], "state": {"$in": states}} for run, states in sources.items() if states]
    return ways[0] if len(ways) == 1 else {"$or": ways}


def _changed(change: JobChange) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": change.state.value, "attempts": change.attempts, "updated_at": change.at}
    if change.state is State.QUEUED:
        # Whoever replays a job has published it. Marked so, since a job that was quick the first time has no mark.
        return {**fields, "published_at": change.at}
    if change.state is State.RETRYING:
        return {**fields, "retry_reason": change.retry_reason, "next_attempt_at": change.next_attempt_at}
    fields |= {"finished_at": change.at, "next_attempt_at": None}
    if change.expires_at is not None:
        fields["expires_at"] = change.expires_at
    if change.result is not None:
        fields["result"] = {
            "flickr": change.result.flickr,
            "from_cache": change.result.from_cache,
            "http_status": change.result.http_status,
            "duration_ms": change.result.duration_ms,
        }
    if change.failure is not None:
        fields["failure"] = change.failure.model_dump()
    return fields


def report_of(found: Document) -> JobReport:
    result, failure = found.get("result"), found.get("failure")
    return JobReport(
        id=found["_id"],
        target=Target(found["target"]),
        state=State(found["state"]),
        attempts=found["attempts"],
        trace_id=found["trace_id"],
        result=None if result is None else Result(**result),
        failure=None if failure is None else Failure(**failure),
    )
