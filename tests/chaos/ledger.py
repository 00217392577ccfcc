"""The judgement: pure functions from the evidence to what was lost, doubled or contradicted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.evidence import DEAD_LETTERS, Call, Evidence
from tests.chaos.load import Accepted
from tests.chaos.plan import WRITES, Fault, Kind, Task
from tests.chaos.receiver import Copy
from tests.chaos.stack import CALLBACK_SECONDS, CALLBACKS_IN_FLIGHT

ENDED = frozenset({"completed", "failed"})
UNKNOWN = "ERR_OUTCOME_UNKNOWN"
GAVE_UP = "Gave up after"
ABRUPT = frozenset({Kind.KILL, Kind.STOP})
TOGETHER = ({"notifier", "mongo"}, {"rabbitmq", "mongo"})
"""Pairs of which the first keeps a callback's outcome from being held until the second is back to store it."""
COUNTED = frozenset({Task.TAG, Task.SET, Task.UPLOAD})
"""Writes whose effect can be counted afterwards; a title that is set twice is just set."""


@dataclass(frozen=True)
class Round:
    """A fault and its time: monotonic seconds when it began, and when all was well again."""

    fault: Fault
    struck: float
    recovered: float
    seconds: float
    """From the fault's end to the recovery."""

    @property
    def duplicates_allowed(self) -> int:
        """As many as callbacks can have been in flight, if it took what only the notifier knew; else none."""
        targets = {blow.target for blow in self.fault.blows}
        cut = any(blow.target == "notifier" and blow.kind in ABRUPT for blow in self.fault.blows)
        return CALLBACKS_IN_FLIGHT if cut or any(pair <= targets for pair in TOGETHER) else 0


@dataclass
class Row:
    """A line of the table."""

    fault: str
    jobs: int = 0
    lost: int = 0
    duplicates: int = 0
    seconds: float = 0.0


@dataclass
class Ledger:
    """The result. It balances when there is no problem; `lost` are jobs with a 202 that didn't end or weren't told."""

    rows: list[Row]
    problems: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    @property
    def balances(self) -> bool:
        """Whether every promise was kept."""
        return not self.problems


def judge(evidence: Evidence, rounds: Sequence[Round]) -> Ledger:
    """Make the ledger."""
    ledger = Ledger([Row(str(one.fault), seconds=one.seconds) for one in rounds])
    _jobs(ledger, evidence, rounds)
    _duplicates(ledger, evidence, rounds)
    _writes(ledger, evidence)
    _leftovers(ledger, evidence)
    ledger.problems += evidence.troubles
    return ledger


def _jobs(ledger: Ledger, evidence: Evidence, rounds: Sequence[Round]) -> None:
    for one in evidence.accepted:
        for row, during in zip(ledger.rows, rounds, strict=True):
            row.jobs += during.struck <= one.at <= during.recovered
        flaws = list(_flaws(one, evidence))
        ledger.problems += [f"{one.work.task} {one.mark} ({one.job_id}): {flaw}" for flaw in flaws]
        if any(flaw.startswith("lost:") for flaw in flaws):
            ledger.lost.add(one.job_id)
            ledger.rows[one.round].lost += 1
    states = Counter(str(evidence.status[one.job_id]["state"]) for one in evidence.accepted)
    codes = Counter(code or "no code" for state, code in evidence.stored.values() if state == "failed")
    ours = {one.job_id for one in evidence.accepted}
    ledger.figures |= {
        "jobs with a 202": len(evidence.accepted),
        **{f"… {state}": count for state, count in sorted(states.items())},
        "lost": len(ledger.lost),
        **{f"failed with {code}": count for code, count in sorted(codes.items())},
        "jobs whose 202 was lost, ended all the same": sum(
            state in ENDED for job_id, (state, _) in evidence.stored.items() if job_id not in ours
        ),
    }


def _flaws(one: Accepted, evidence: Evidence) -> Iterator[str]:
    """What is wrong with one job; `lost: …` where a promise of a 202 was broken."""
    status = evidence.status[one.job_id]
    state = status["state"]
    if state not in ENDED:
        yield f"lost: its state is {state}"
        return
    stored, code = evidence.stored.get(one.job_id, (None, None))
    if stored != state:
        yield f"the gateway says {state}, MongoDB {stored}"
    if not _may_end_so(one, state, code, str(status.get("failedReason"))):
        yield f"it {state}: {status.get('failedReason')}"
    if one.work.calls_back:
        yield from _callback_flaws(evidence.copies[f"/{one.mark}"], one, status)


def _may_end_so(one: Accepted, state: str, code: str | None, reason: str) -> bool:
    """Whether such an end is honest: failures that are planned, an unknown outcome, all attempts spoilt by faults."""
    if one.work.task is Task.WRONG:
        return state == "failed" and (code == "FLICKR_1" or reason.startswith(GAVE_UP))
    return state == "completed" or (code == UNKNOWN and one.work.task in WRITES) or reason.startswith(GAVE_UP)


def _callback_flaws(copies: Sequence[Copy], one: Accepted, status: dict[str, object]) -> Iterator[str]:
    if not any(copy.taken and copy.flaw is None for copy in copies):
        yield f"lost: no callback with valid signatures among {len(copies)} copies"
    yield from {f"callback: {copy.flaw}" for copy in copies if copy.flaw is not None}
    if len({(copy.webhook_id, copy.sha256) for copy in copies}) > 1:
        yield "copies of its callback differ"
    for copy in copies[:1]:
        if (copy.webhook_id, copy.body["state"]) != (one.job_id, status["state"]):
            yield f"its callback says {copy.body['state']} of {copy.webhook_id}, the gateway {status['state']}"
        answer = status.get("returnvalue")
        if isinstance(answer, dict) and copy.body["result"] != answer["flickr"]:
            yield "its callback has another result than the gateway"


def _duplicates(ledger: Ledger, evidence: Evidence, rounds: Sequence[Round]) -> None:
    """Copies after the one that was taken, each put down to the last fault that can have caused it."""
    for path, copies in evidence.copies.items():
        taken = [copy for copy in copies if copy.taken]
        if len(taken) < 2:
            continue
        number = _cause(taken[0].at, rounds)
        if number is None:
            ledger.problems.append(f"callback {path} came {len(taken)} times, far from any fault")
        else:
            ledger.rows[number].duplicates += len(taken) - 1
    for row, one in zip(ledger.rows, rounds, strict=True):
        if row.duplicates > one.duplicates_allowed:
            allowed = one.duplicates_allowed
            ledger.problems.append(
                f"{row.fault}: {row.duplicates} callbacks doubled, {allowed} can have been in flight"
            )
    ledger.figures["callbacks doubled"] = sum(row.duplicates for row in ledger.rows)


def _cause(taken: float, rounds: Sequence[Round]) -> int | None:
    """The round whose fault a callback taken at this time can have met while it was in flight."""
    near = [
        number
        for number, one in enumerate(rounds)
        if one.struck - CALLBACK_SECONDS <= taken <= one.recovered + CALLBACK_SECONDS
    ]
    allowing = [number for number in near if rounds[number].duplicates_allowed]
    return next(reversed(allowing), next(reversed(near), None))


def _writes(ledger: Ledger, evidence: Evidence) -> None:
    calls: dict[str, list[Call]] = {}
    for call in evidence.calls:
        calls.setdefault(call.mark, []).append(call)
    repeated = planned = 0
    for one in evidence.accepted:
        if one.work.task not in WRITES:
            continue
        flaw = _write_flaw(one, evidence, calls.get(one.mark, []))
        if flaw:
            ledger.problems.append(f"{one.work.task} {one.mark} ({one.job_id}): {flaw}")
        more = max(0, len(calls.get(one.mark, [])) - 1) if one.work.task is not Task.UPLOAD else 0
        repeated += more
        planned += more if one.work.flickr.keys() - {"latency_ms"} else 0
    doubled = {mark: count for mark, count in evidence.effects.items() if count > 1}
    ledger.problems += [f"{mark} is at Flickr {count} times" for mark, count in doubled.items()]
    ledger.figures |= {
        "writes with a 202": sum(one.work.task in WRITES for one in evidence.accepted),
        "write calls repeated": repeated,
        "… after a failure the simulator had orders for": planned,
        "effects doubled": sum(count - 1 for count in doubled.values()),
    }


def _write_flaw(one: Accepted, evidence: Evidence, calls: Sequence[Call]) -> str | None:
    completed = evidence.status[one.job_id]["state"] == "completed"
    if completed and one.work.task in COUNTED and evidence.effects.get(one.mark, 0) == 0:
        return "lost: it completed, and Flickr knows nothing of it"
    if completed and one.work.task is Task.META and not any(call.status == 200 for call in calls):
        return "lost: it completed, and Flickr never got it"
    return None


def _leftovers(ledger: Ledger, evidence: Evidence) -> None:
    ledger.problems += [f"{count} {what}" for what, count in evidence.stuck.items() if count] + [
        f"{depth} messages in {name}" for name, depth in evidence.queues.items() if depth and name not in DEAD_LETTERS
    ]
    open_jobs = [job_id for job_id, (state, _) in evidence.stored.items() if state not in ENDED]
    ledger.problems += [f"job {job_id} is open in MongoDB" for job_id in open_jobs]
    failed = {job_id for job_id, (state, _) in evidence.stored.items() if state == "failed"}
    dead = Counter(evidence.dead["flickr_dlq"])
    ledger.problems += [f"job {job_id} failed and is no dead letter" for job_id in failed - dead.keys()]
    ledger.problems += [f"job {job_id} is a dead letter and didn't fail" for job_id in dead.keys() - failed]
    ledger.problems += [f"job {job_id} is {count} dead letters" for job_id, count in dead.items() if count > 1]
    ledger.problems += [f"the callback of {job_id} was given up" for job_id in evidence.dead["callback_dlq"]]
    ledger.figures |= {
        "dead letters": len(dead),
        "… with a second copy beside them": evidence.second_copies,
    }
