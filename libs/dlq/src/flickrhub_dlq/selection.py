"""Which letters are meant."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from flickrhub_dlq.letters import Letter


@dataclass(frozen=True)
class Selection:
    """Letters by position or job id, and by what their reason, code or endpoint says; without any condition, all."""

    positions: frozenset[int] = frozenset()
    job_ids: frozenset[str] = frozenset()
    reason: str | None = None
    code: str | None = None
    endpoint: str | None = None

    @classmethod
    def of(
        cls, which: list[str], *, reason: str | None = None, code: str | None = None, endpoint: str | None = None
    ) -> "Selection":
        """From what was typed: a number is a position, anything else a job id."""
        numbers = {one for one in which if one.isascii() and one.isdigit()}
        return cls(
            positions=frozenset(map(int, numbers)),
            job_ids=frozenset(one.lower() for one in which if one not in numbers),
            reason=reason,
            code=code,
            endpoint=endpoint,
        )

    @property
    def names_something(self) -> bool:
        """Whether there is a condition."""
        conditions = (self.reason, self.code, self.endpoint)
        return bool(self.positions or self.job_ids) or any(one is not None for one in conditions)

    def matches(self, letter: Letter) -> bool:
        """Whether a letter meets every condition."""
        if self.positions or self.job_ids:
            named = letter.position in self.positions or letter.job_id.lower() in self.job_ids
            if not named:
                return False
        if self.reason is not None and self.reason.casefold() not in letter.reason.casefold():
            return False
        if self.endpoint is not None and self.endpoint.casefold() not in letter.endpoint.casefold():
            return False
        return self.code is None or self.code.casefold() == letter.code.casefold()


@dataclass
class Agreed:
    """What a selection had found when somebody agreed to it: no letter more, whatever has come since.

    ``matches`` is to be asked once a letter: of letters that are alike only as many are meant as there were.
    """

    selection: Selection
    _noted: Counter[bytes] = field(default_factory=Counter)

    @property
    def positions(self) -> frozenset[int]:
        """The positions that were typed."""
        return self.selection.positions

    @property
    def number(self) -> int:
        """How many letters are meant still."""
        return self._noted.total()

    def note(self, letter: Letter) -> None:
        """Mean this one."""
        self._noted[_digest(letter)] += 1

    def matches(self, letter: Letter) -> bool:
        """Whether it is one of those that were noted."""
        digest = _digest(letter)
        found = self._noted[digest] > 0 and self.selection.matches(letter)
        self._noted[digest] -= found
        return found


def _digest(letter: Letter) -> bytes:
    told = repr((letter.type, letter.job_id, letter.correlation_id, letter.reason, letter.code, letter.replays))
    return hashlib.blake2b(told.encode(errors="replace") + letter.body, digest_size=16).digest()
