"""Runs that never took place, for the ledger to judge."""

from collections.abc import Sequence
from typing import Any

from tests.chaos.evidence import Call, Evidence
from tests.chaos.load import Accepted
from tests.chaos.plan import Task, Work
from tests.chaos.receiver import Copy

AT = 98.0
"""When calls and callbacks came; the faults of these tests fall at 100."""
Job = tuple[Task, Sequence[int | None]]
"""What a job asked, and how each of its calls was answered."""


def run(jobs: Sequence[Job], *, flickr: dict[str, Any] | None = None, every: float = 0.0) -> dict[str, Any]:
    """A run in which every job completed; `flickr` is what was ordered for the first calls, `every` the seconds
    between calls of a job.
    """
    works = [Work(n, task, 0, 0, calls_back=True, signed=True, flickr=flickr or {}) for n, (task, _) in enumerate(jobs)]
    accepted = [Accepted(work, f"m{work.number:05d}x0", f"id-{work.number}", "user-1", 0, 97.0) for work in works]
    done = {"state": "completed", "returnvalue": {"flickr": {"stat": "ok"}}}
    body = {"state": "completed", "result": {"stat": "ok"}}
    return {
        "accepted": accepted,
        "status": {one.job_id: done for one in accepted},
        "stored": {one.job_id: ("completed", None) for one in accepted},
        "copies": {f"/{one.mark}": [Copy(one.job_id, "ab", AT, True, None, body)] for one in accepted},
        "calls": [
            Call(one.mark, None, status, AT + every * number)
            for one, (_, answers) in zip(accepted, jobs, strict=True)
            for number, status in enumerate(answers)
        ],
        "effects": {one.mark: 1 for one in accepted if one.work.task in {Task.TAG, Task.SET, Task.UPLOAD}},
        "queues": {"flickr_rest": 0},
        "dead": {"flickr_dlq": [], "callback_dlq": []},
        "second_copies": 0,
        "troubles": [],
        "stuck": {},
    }


def failed(
    jobs: Sequence[Job], code: str, reason: str, *, flickr: dict[str, Any] | None = None, every: float = 0.0
) -> dict[str, Any]:
    """A run in which every job failed for this reason, and nothing is at Flickr."""
    fine = run(jobs, flickr=flickr, every=every)
    ids = [one.job_id for one in fine["accepted"]]
    body = {"state": "failed", "result": None}
    return fine | {
        "status": {job_id: {"state": "failed", "failedReason": reason, "returnvalue": None} for job_id in ids},
        "stored": dict.fromkeys(ids, ("failed", code)),
        "copies": {f"/{one.mark}": [Copy(one.job_id, "ab", AT, True, None, body)] for one in fine["accepted"]},
        "effects": {},
        "dead": {"flickr_dlq": ids, "callback_dlq": []},
    }


def evidence(fabricated: dict[str, Any]) -> Evidence:
    """As `gather` would hand it over."""
    return Evidence(**fabricated)
