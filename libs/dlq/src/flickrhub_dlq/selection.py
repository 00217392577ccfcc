"""Which letters are meant."""

from dataclasses import dataclass

from flickrhub_dlq.letters import Letter


@dataclass(frozen=True)
class Selection:
    """Letters by position or job id, and by what their reason or code says; without any condition, all."""

    positions: frozenset[int] = frozenset()
    job_ids: frozenset[str] = frozenset()
    reason: str | None = None
    code: str | None = None

    @classmethod
    def of(cls, which: list[str], *, reason: str | None = None, code: str | None = None) -> "Selection":
        """From what was typed: a number is a position, anything else a job id."""
        numbers = {one for one in which if one.isascii() and one.isdigit()}
        return cls(
            positions=frozenset(map(int, numbers)),
            job_ids=frozenset(one.lower() for one in which if one not in numbers),
            reason=reason,
            code=code,
        )

    @property
    def names_something(self) -> bool:
        """Whether there is a condition."""
        return bool(self.positions or self.job_ids) or self.reason is not None or self.code is not None

    def matches(self, letter: Letter) -> bool:
        """Whether a letter meets every condition."""
        if self.positions or self.job_ids:
            named = letter.position in self.positions or letter.job_id.lower() in self.job_ids
            if not named:
                return False
        if self.reason is not None and self.reason.casefold() not in letter.reason.casefold():
            return False
        return self.code is None or self.code.casefold() == letter.code.casefold()
