"""What the calls the simulator received say of the jobs: writes made once, failures that had their reason."""

from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.evidence import Call, Evidence
from tests.chaos.load import Accepted
from tests.chaos.plan import WRITES, Task, Work
from tests.chaos.rounds import Round, calls_beyond
from tests.chaos.stack import ATTEMPTS

UNKNOWN = "ERR_OUTCOME_UNKNOWN"
GAVE_UP = "Gave up after"
EXECUTORS = ("executor-rest", "executor-upload")
COUNTED = frozenset({Task.TAG, Task.SET, Task.UPLOAD})
"""Writes whose effect can be counted afterwards; a title that is set twice is just set."""
MAKES_ANOTHER = frozenset({Task.SET, Task.UPLOAD})
"""Writes that make a second thing when repeated; the others are repeated when nobody knows how they ended."""
OK, CLIENT_ERROR = 200, 400


class Calls:
    """The calls of every mark; of a try without a 202, too."""

    def __init__(self, evidence: Evidence, rounds: Sequence[Round]) -> None:
        self._evidence = evidence
        self._rounds = rounds
        self._works = {one.work.number: one.work for one in evidence.accepted}
        self._calls: dict[str, list[Call]] = {}
        for call in evidence.calls:
            self._calls.setdefault(call.mark, []).append(call)

    def of(self, mark: str) -> Sequence[Call]:
        """In the order they were received."""
        return self._calls.get(mark, [])

    def worked(self, mark: str, work: Work) -> list[Call]:
        """Those that Flickr did: answered with 200, but for an error it was ordered to name in such an answer."""
        calls = self.of(mark)
        ordered = calls[:1] if "code" in work.flickr else []
        return [call for call in calls if call.status == OK and call not in ordered]

    def repeated(self) -> tuple[int, int]:
        """How many calls of writes came after a first one, and how many of these after a failure that was ordered."""
        more = [(work, max(0, len(self.of(mark)) - 1)) for mark, work in self._writes() if work.task is not Task.UPLOAD]
        return sum(count for _, count in more), sum(count for work, count in more if work.fails)

    def problems(self) -> Iterator[str]:
        """Writes done twice, and failures beyond what faults can have cut off."""
        again, unknown, spoilt = self._done_again(), self._unknown(), self._spoilt()
        for mark, work in self._writes():
            if work.task in MAKES_ANOTHER and len(self.worked(mark, work)) > 1:
                yield f"{work.task} {mark}: Flickr did it {len(self.worked(mark, work))} times"
        for executor in EXECUTORS:
            yield from calls_beyond(again.get(executor, ()), executor, self._rounds, what="done again")
            yield from calls_beyond(unknown.get(executor, ()), executor, self._rounds, what="of unknown outcome")
            yield from calls_beyond(spoilt.get(executor, ()), executor, self._rounds, what="spoilt by faults")

    def figures(self) -> dict[str, int]:
        """Sums for the table."""
        repeated, ordered = self.repeated()
        return {
            "write calls repeated": repeated,
            "… after a failure the simulator had orders for": ordered,
            "… done by Flickr already": sum(map(len, self._done_again().values())),
            "outcomes unknown because of faults": sum(map(len, self._unknown().values())),
            "given up because of faults": sum(map(len, self._spoilt().values())),
        }

    def flaw_of_end(self, one: Accepted, state: str, code: str | None, reason: str) -> str | None:
        """What is wrong with how a job ended, as far as one job can tell; the sum of all is judged by `problems`."""
        told = f"it {state}: {reason}"
        if state == "completed":
            return told if one.work.task is Task.WRONG else None
        if code == UNKNOWN:
            return None if one.work.task in MAKES_ANOTHER else told
        if self._has_effect(one):
            return f"{told}, and Flickr did it"
        if reason.startswith(GAVE_UP):
            return None if self._attempts_lost(one) >= ATTEMPTS else f"{told}, and its calls didn't fail"
        return None if one.work.task is Task.WRONG and code == "FLICKR_1" else told

    def _has_effect(self, one: Accepted) -> bool:
        if one.work.task is Task.META:
            return bool(self.worked(one.mark, one.work))
        return one.work.task in COUNTED and self._evidence.effects.get(one.mark, 0) > 0

    def _attempts_lost(self, one: Accepted) -> int:
        return sum(_failed(call) for call in self.of(one.mark)) + self._ordered(one) + len(self._cut(one))

    def _ordered(self, one: Accepted) -> bool:
        return "code" in one.work.flickr and bool(self.of(one.mark))

    def _cut(self, one: Accepted) -> list[Call]:
        """Its calls that failed though the simulator answered: a fault was in between."""
        executor = one.work.executor
        fine = self.worked(one.mark, one.work)
        return [call for call in fine if any(each.cuts_call(executor, call.at) for each in self._rounds)]

    def _writes(self) -> Iterator[tuple[str, Work]]:
        for mark in self._calls:
            work = self._works.get(int(mark[1:].partition("x")[0]))
            if work is not None and work.task in WRITES:
                yield mark, work

    def _done_again(self) -> dict[str, list[tuple[str, float]]]:
        """Repeatable writes that Flickr did, and was asked again: each but the last, whose outcome was noted."""
        found: dict[str, list[tuple[str, float]]] = {}
        for mark, work in self._writes():
            if work.task not in MAKES_ANOTHER:
                done = [(f"{work.task} {mark}", call.at) for call in self.worked(mark, work)[:-1]]
                found.setdefault(work.executor, []).extend(done)
        return found

    def _unknown(self) -> dict[str, list[tuple[str, float]]]:
        """Ends nobody knows, but for those that the simulator was ordered to bring about."""
        found: dict[str, list[tuple[str, float]]] = {}
        for one, code, _ in self._failed_jobs():
            if code != UNKNOWN or (one.work.task is Task.SET and one.work.loses_answer and self._met_order(one)):
                continue
            found.setdefault(one.work.executor, []).append((f"{one.work.task} {one.mark}", self._when(one)))
        return found

    def _spoilt(self) -> dict[str, list[tuple[str, float]]]:
        """Jobs given up with fewer failures of the simulator's than attempts."""
        found: dict[str, list[tuple[str, float]]] = {}
        for one, code, reason in self._failed_jobs():
            cut = self._cut(one)
            if code != UNKNOWN and reason.startswith(GAVE_UP) and cut:
                found.setdefault(one.work.executor, []).append((f"{one.work.task} {one.mark}", cut[-1].at))
        return found

    def _failed_jobs(self) -> Iterator[tuple[Accepted, str | None, str]]:
        stored: Mapping[str, tuple[str, str | None]] = self._evidence.stored
        for one in self._evidence.accepted:
            state, code = stored.get(one.job_id, (None, None))
            if state == "failed":
                yield one, code, str(self._evidence.status[one.job_id].get("failedReason"))

    def _met_order(self, one: Accepted) -> bool:
        return any(_failed(call) for call in self.of(one.mark)[:1])

    def _when(self, one: Accepted) -> float:
        """When a call was parted from its outcome. An executor that died before the simulator heard of the call leaves
        no time: then it is that of the first fault after the 202 that can have been it.
        """
        executor, calls = one.work.executor, self.of(one.mark)
        cut = [call.at for call in calls if any(each.cuts_call(executor, call.at) for each in self._rounds)]
        if calls:
            return cut[-1] if cut else calls[-1].at
        later = (each for each in self._rounds if each.recovered >= one.at and each.calls_allowed(executor))
        blows = (blow for each in later for blow in each.dealt if blow.cuts(executor))
        return next((blow.began for blow in blows if blow.over >= one.at), one.at)


def _failed(call: Call) -> bool:
    return call.status is None or call.status >= CLIENT_ERROR
