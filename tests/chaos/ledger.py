"""The judgement: pure functions from the evidence to what was lost, doubled or contradicted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.calls import COUNTED, EXECUTORS, Calls
from tests.chaos.evidence import DEAD_LETTERS, Evidence
from tests.chaos.load import Accepted
from tests.chaos.plan import WRITES, Task
from tests.chaos.receiver import Copy
from tests.chaos.rounds import Round

ENDED = frozenset({"completed", "failed"})


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
    calls = Calls(evidence, rounds)
    _jobs(ledger, evidence, rounds, calls)
    _duplicates(ledger, evidence, rounds)
    _writes(ledger, evidence, calls)
    _leftovers(ledger, evidence, rounds)
    ledger.problems += evidence.troubles
    return ledger


def _jobs(ledger: Ledger, evidence: Evidence, rounds: Sequence[Round], calls: Calls) -> None:
    for one in evidence.accepted:
        for row, during in zip(ledger.rows, rounds, strict=True):
            row.jobs += during.struck <= one.at <= during.recovered
        flaws = list(_flaws(one, evidence, calls))
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


def _flaws(one: Accepted, evidence: Evidence, calls: Calls) -> Iterator[str]:
    """What is wrong with one job; `lost: …` where a promise of a 202 was broken."""
    status = evidence.status[one.job_id]
    state = status["state"]
    if state not in ENDED:
        yield f"lost: its state is {state}"
        return
    stored, code = evidence.stored.get(one.job_id, (None, None))
    if stored != state:
        yield f"the gateway says {state}, MongoDB {stored}"
    flaw = calls.flaw_of_end(one, state, code, str(status.get("failedReason")))
    if flaw:
        yield flaw
    if one.work.calls_back:
        yield from _callback_flaws(evidence.copies[f"/{one.mark}"], one, status)


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
    """The round whose fault met a callback, taken at this time, while it was in flight; one that allows it first."""
    near = [number for number, one in enumerate(rounds) if one.cuts_callback(taken)]
    allowing = [number for number in near if rounds[number].duplicates_allowed]
    return next(reversed(allowing), next(reversed(near), None))


def _writes(ledger: Ledger, evidence: Evidence, calls: Calls) -> None:
    for one in evidence.accepted:
        flaw = _write_flaw(one, evidence, calls) if one.work.task in WRITES else None
        if flaw:
            ledger.problems.append(f"{one.work.task} {one.mark} ({one.job_id}): {flaw}")
    ledger.problems += calls.problems()
    doubled = {mark: count for mark, count in evidence.effects.items() if count > 1}
    ledger.problems += [f"{mark} is at Flickr {count} times" for mark, count in doubled.items()]
    ledger.figures |= {
        "writes with a 202": sum(one.work.task in WRITES for one in evidence.accepted),
        **calls.figures(),
        "effects doubled": sum(count - 1 for count in doubled.values()),
    }


def _write_flaw(one: Accepted, evidence: Evidence, calls: Calls) -> str | None:
    completed = evidence.status[one.job_id]["state"] == "completed"
    if completed and one.work.task in COUNTED and evidence.effects.get(one.mark, 0) == 0:
        return "lost: it completed, and Flickr knows nothing of it"
    if completed and one.work.task is Task.META and not calls.worked(one.mark, one.work):
        return "lost: it completed, and Flickr never got it"
    return None


def _leftovers(ledger: Ledger, evidence: Evidence, rounds: Sequence[Round]) -> None:
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
    borne = sum(one.calls_allowed(executor) for one in rounds for executor in EXECUTORS)
    if evidence.second_copies > borne:
        ledger.problems.append(f"{evidence.second_copies} second copies of dead letters, {borne} can have been cut off")
    ledger.figures |= {
        "dead letters": len(dead),
        "… with a second copy beside them": evidence.second_copies,
    }
