"""Passes through a queue, with a queue in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from flickrhub_common.dead_letters import FIRST_WINDOW, LARGEST_WINDOW, WINDOW_BYTES, next_size
from flickrhub_dlq.commands import NOT_TAKEN, Action, Count, ReplayLetter, go_through, look, purge
from flickrhub_dlq.errors import NobodyTakesIt
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.replaying import Post
from flickrhub_dlq.selection import Agreed, Selection
from flickrhub_dlq.showing import line
from tests.unit.dlq.letters import JOB_ID, a_due, a_job, an_end, unhandled


@dataclass
class FakeSorting:
    """A queue in memory; remembers in which order things happened."""

    letters: list[Letter]
    refuses: bool = False
    happened: list[str] = field(default_factory=list)

    async def windows(self) -> AsyncIterator[list[Letter]]:
        for start in range(0, len(self.letters), 2):
            yield self.letters[start : start + 2]

    async def send(self, post: Post) -> None:
        await asyncio.sleep(0)
        if self.refuses:
            raise NobodyTakesIt
        self.happened.append(post.key)

    async def take_away(self, letter: Letter) -> None:
        self.happened.append(f"took {letter.position}")


def letters(count: int = 3) -> list[Letter]:
    return [an_end(a_job(job_id=f"job-{n}"), position=n, job_id=f"job-{n}") for n in range(1, count + 1)]


async def passed(
    sorting: FakeSorting, action: Action, selection: Selection | Agreed | None = None
) -> tuple[Count, list[tuple[int, int | None, str | None]]]:
    shown: list[tuple[int, int | None, str | None]] = []
    count = Count()

    async def flush() -> None:
        """Nothing is written."""

    await go_through(
        sorting,
        selection or Selection(),
        action=action,
        takes_away=action is purge or (isinstance(action, ReplayLetter) and not action.dry_run),
        show=lambda letter, twin, why: shown.append((letter.position, twin, why)),
        count=count,
        flush=flush,
    )
    return count, shown


async def test_looking_shows_every_letter_in_order_and_leaves_it() -> None:
    sorting = FakeSorting(letters(5))
    count, shown = await passed(sorting, look)
    assert [position for position, _, _ in shown] == [1, 2, 3, 4, 5]
    assert (sorting.happened, count.matched) == ([], 5)


async def test_a_letter_goes_only_after_everything_of_its_replay_is_confirmed() -> None:
    sorting = FakeSorting(letters(1))
    await passed(sorting, ReplayLetter())
    assert sorting.happened == ["job.replayed", "rest", "took 1"]


async def test_a_letter_stays_when_rabbitmq_doesn_t_take_its_replay() -> None:
    sorting = FakeSorting(letters(2), refuses=True)
    count, shown = await passed(sorting, ReplayLetter())
    assert sorting.happened == []
    assert (count.done, count.left, shown[0]) == (0, 2, (1, None, NOT_TAKEN))


async def test_a_dry_run_sends_and_takes_nothing_and_says_what_would_stay() -> None:
    refused = an_end(a_job(doubtful=True), position=2, code="ERR_OUTCOME_UNKNOWN")
    sorting = FakeSorting([*letters(1), refused])
    count, shown = await passed(sorting, ReplayLetter(dry_run=True))
    assert sorting.happened == []
    assert (count.done, count.left) == (1, 1)
    assert [bool(why) for _, _, why in shown] == [False, True]


async def test_purging_takes_what_is_selected_and_no_more() -> None:
    sorting = FakeSorting(letters(4))
    count, _ = await passed(sorting, purge, Selection.of(["2", "JOB-4"]))
    assert (sorting.happened, count.done) == (["took 2", "took 4"], 2)


def with_a_second_copy() -> list[Letter]:
    """Three letters, and far behind the first one its second copy."""
    return [an_end(a_job(), position=1), *letters(3)[1:], an_end(a_job(), position=4)]


async def test_what_came_after_somebody_agreed_stays_and_as_many_of_a_kind_as_there_were_go() -> None:
    garbage = [unhandled(b"x", reason="unreadable", queue=None) for _ in range(3)]
    seen, new = [*letters(2), garbage[0], garbage[1]], [garbage[2], *letters(3)[2:]]
    agreed = Agreed(Selection())
    for letter in seen:
        agreed.note(letter)
    assert agreed.number == 4
    later = [replace(letter, position=n) for n, letter in enumerate([*seen[1:], *new], 1)]
    sorting = FakeSorting(later)
    count, _ = await passed(sorting, purge, agreed)
    assert (sorting.happened, count.done) == (["took 1", "took 2", "took 3"], 3)


async def test_a_position_agreed_to_is_that_letter_and_no_other_that_took_its_place() -> None:
    agreed = Agreed(Selection.of(["2"]))
    agreed.note(letters(3)[1])
    moved = [replace(letter, position=letter.position - 1) for letter in letters(3)[1:]]
    sorting = FakeSorting(moved)
    await passed(sorting, purge, agreed)
    assert sorting.happened == []


async def test_a_job_buried_twice_is_shown_once() -> None:
    sorting = FakeSorting(with_a_second_copy())
    count, shown = await passed(sorting, look)
    assert [(position, twin) for position, twin, _ in shown] == [(1, None), (2, None), (3, None)]
    assert (sorting.happened, count.matched, count.copies) == ([], 3, 1)


async def test_the_second_copy_can_be_looked_at_by_its_position() -> None:
    count, shown = await passed(FakeSorting(with_a_second_copy()), look, Selection.of(["4"]))
    assert [(position, twin) for position, twin, _ in shown] == [(4, 1)]
    assert (count.matched, count.copies) == (1, 0)


@pytest.mark.parametrize("named", [["1"], [JOB_ID]], ids=["by position", "by job id"])
async def test_a_replay_of_a_job_buried_twice_sends_it_once_and_takes_both_letters(named: list[str]) -> None:
    sorting = FakeSorting(with_a_second_copy())
    count, _ = await passed(sorting, ReplayLetter(), Selection.of(named))
    assert sorting.happened == ["job.replayed", "rest", "took 1", "took 4"]
    assert (count.done, count.copies) == (1, 1)


async def test_purging_a_job_buried_twice_takes_both_letters_also_out_of_one_window() -> None:
    sorting = FakeSorting([an_end(a_job(), position=1), an_end(a_job(), position=2)])
    count, _ = await passed(sorting, purge)
    assert (sorting.happened, count.done, count.copies) == (["took 1", "took 2"], 1, 1)


@pytest.mark.parametrize("dry", [False, True], ids=["refused", "dry run"])
async def test_a_second_copy_stays_where_the_first_stays(*, dry: bool) -> None:
    sorting = FakeSorting(with_a_second_copy(), refuses=not dry)
    await passed(sorting, ReplayLetter(dry_run=dry))
    assert sorting.happened == []


async def test_another_run_of_a_job_is_no_twin() -> None:
    runs = [an_end(a_job(replay=n), position=n + 1, replays=n) for n in (0, 1)]
    _, shown = await passed(FakeSorting(runs), look)
    assert [twin for _, twin, _ in shown] == [None, None]


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection.of(["1"]), True),
        (Selection.of(["2"]), False),
        (Selection.of([JOB_ID.upper()]), True),
        (Selection.of(["2", JOB_ID]), True),
        (Selection.of([], reason="AFTER 3"), True),
        (Selection.of([], reason="after 4"), False),
        (Selection.of([], code="flickr_105"), True),
        (Selection.of([], code="flickr_10"), False),
        (Selection.of(["1"], code="FLICKR_1"), False),
    ],
)
def test_a_letter_meets_every_condition(selection: Selection, matches: bool) -> None:
    assert selection.matches(an_end(a_job())) is matches


@pytest.mark.parametrize(("endpoint", "matches"), [("hooks.EXAMPLE", True), (":8443", True), ("other.example", False)])
def test_callbacks_can_be_selected_by_their_receiver(endpoint: str, matches: bool) -> None:
    letter = an_end(a_due(), endpoint="https://hooks.example:8443")
    assert Selection.of([], endpoint=endpoint).names_something
    assert Selection.of([], endpoint=endpoint).matches(letter) is matches
    assert not Selection.of([], endpoint=endpoint).matches(an_end(a_job()))
    assert line(letter, twin_of=None).endswith(" at https://hooks.example:8443")


def test_an_unreadable_letter_can_be_selected_by_its_reason() -> None:
    assert Selection.of([], reason="unreadable").matches(unhandled(b"\xff", reason="unreadable: body", queue=None))


@pytest.mark.parametrize(
    ("size", "found", "then"),
    [
        (16, 0, 32),
        (LARGEST_WINDOW, 100, LARGEST_WINDOW),
        (128, WINDOW_BYTES + 1, 32),
        (16, 10 * WINDOW_BYTES, FIRST_WINDOW),
    ],
)
def test_windows_grow_with_small_letters_and_shrink_with_large_ones(size: int, found: int, then: int) -> None:
    assert next_size(size, found) == then
