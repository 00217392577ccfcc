"""What the tool does with letters: a pass through a queue, and the action on each letter that is meant."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from flickrhub_dlq.errors import NobodyTakesIt
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.replaying import Post, Refusal, plan_replay
from flickrhub_dlq.selection import Agreed, Selection

NOT_TAKEN = "RabbitMQ didn't take it: the queue it belongs to is missing or full"


class LettersInHand(Protocol):
    """One pass through a queue, in order; what isn't taken away stays."""

    def windows(self) -> AsyncIterator[list[Letter]]:
        """The letters, a few at a time."""
        ...

    async def send(self, post: Post) -> None:
        """Send, and return when it is confirmed. Raises NobodyTakesIt."""
        ...

    async def take_away(self, letter: Letter) -> None:
        """Remove a letter for good."""
        ...


Action = Callable[[LettersInHand, Letter], Awaitable[str | None]]
"""Deals with a letter; returns why it stays, or None when it is dealt with."""
Show = Callable[[Letter, int | None, str | None], None]
"""Takes a letter, the position of an earlier one that is the same, and why it stays."""


@dataclass
class Count:
    """What a pass came to so far. ``left`` is what was meant and couldn't be done; ``copies`` aren't in the others."""

    matched: int = 0
    done: int = 0
    left: int = 0
    copies: int = 0


@dataclass
class Twins:
    """Finds letters that are the same end, buried twice. It keeps a digest of each end, not the letters."""

    _first: dict[bytes, int] = field(default_factory=dict)

    def of(self, letter: Letter) -> int | None:
        """The position of an earlier letter that is the same."""
        key = letter.twin_key
        if key is None:
            return None
        digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
        first = self._first.setdefault(digest, letter.position)
        return None if first == letter.position else first


async def go_through(
    sorting: LettersInHand,
    selection: Selection | Agreed,
    *,
    action: Action,
    takes_away: bool,
    show: Show,
    count: Count,
    flush: Callable[[], Awaitable[None]],
) -> None:
    """Act on every letter that is meant, a window's at once, and show them in their order.

    A letter that is the second copy of one before it isn't acted on, unless its own position is named; it goes when
    that one goes, if the action ``takes_away`` what it deals with. ``count`` is kept up to date, so that it is right
    also when the pass breaks off.
    """
    twins, gone = Twins(), set[int]()
    async for window in sorting.windows():
        twin_of = {letter.position: twins.of(letter) for letter in window}
        meant, copies = _apart(window, selection, twin_of)
        count.matched += len(meant)

        async def act(letter: Letter) -> str | None:
            why = await action(sorting, letter)
            count.done += why is None
            count.left += why is not None
            if why is None and takes_away:
                gone.add(letter.position)
            return why

        for letter, why in zip(meant, await asyncio.gather(*map(act, meant)), strict=True):
            show(letter, twin_of[letter.position], why)
        for copy in copies:
            if twin_of[copy.position] in gone:
                await sorting.take_away(copy)
            count.copies += twin_of[copy.position] in gone or (not takes_away and selection.matches(copy))
        await flush()


def _apart(
    window: list[Letter], selection: Selection | Agreed, twin_of: dict[int, int | None]
) -> tuple[list[Letter], list[Letter]]:
    """The letters that are meant, and second copies of others."""
    named = [letter for letter in window if twin_of[letter.position] is None or letter.position in selection.positions]
    meant = [letter for letter in named if selection.matches(letter)]
    return meant, [letter for letter in window if twin_of[letter.position] is not None and letter not in meant]


async def look(_: LettersInHand, __: Letter) -> str | None:
    """Leave the letter where it is."""
    return None


async def purge(sorting: LettersInHand, letter: Letter) -> str | None:
    """Delete the letter."""
    await sorting.take_away(letter)
    return None


@dataclass(frozen=True)
class ReplayLetter:
    """Has a letter's job, delivery or message come again, then takes the letter away.

    In this order, and only when RabbitMQ has confirmed: a crash in between leaves a letter that was replayed already,
    and the number of the replay makes its second time harmless.
    """

    even_if_unknown: bool = False
    dry_run: bool = False

    async def __call__(self, sorting: LettersInHand, letter: Letter) -> str | None:
        """Why the letter stays, or None."""
        plan = plan_replay(letter, even_if_unknown=self.even_if_unknown, now=datetime.now(UTC))
        if isinstance(plan, Refusal):
            return plan.why
        if self.dry_run:
            return None
        try:
            # One after the other on the wire, but without waiting in between: the first only announces the second.
            await asyncio.gather(*(sorting.send(post) for post in plan.posts))
        except NobodyTakesIt:
            return NOT_TAKEN
        await sorting.take_away(letter)
        return None
