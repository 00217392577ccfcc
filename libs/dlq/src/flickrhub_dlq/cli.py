"""The command line: ``flickrhub-dlq list|show|replay|purge``.

Exit codes: 0 done, 1 nothing matched or something was left, 2 wrong usage, 3 no broker.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from flickrhub_common.settings import RabbitSettings, load
from flickrhub_common.topology import DEAD_LETTER_QUEUES
from flickrhub_dlq.arguments import parser
from flickrhub_dlq.commands import Action, Count, ReplayLetter, Show, go_through, look, purge
from flickrhub_dlq.errors import BadUsage, ToolError
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.mailbox import Mailbox, open_mailbox
from flickrhub_dlq.selection import Agreed, Selection
from flickrhub_dlq.settings import DlqSettings
from flickrhub_dlq.showing import HEADING, as_json, block, content, line, row

DONE, NOT_ALL, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; its exit code."""
    logging.disable(logging.CRITICAL)  # the drivers' own words name hosts
    asked = parser().parse_args(arguments)
    tool = Tool(asked)
    try:
        settings = load(DlqSettings)
        if tool.asks:
            found = asyncio.run(tool.look_first(settings))
            # Read between two loops, not in a thread of one: a loop's end waits for its threads, so Ctrl-C would, too.
            if found != DONE or not tool.is_told_to():
                return found or NOT_ALL
        return asyncio.run(tool.run(settings))
    except KeyboardInterrupt:
        tool.say(f"Stopped.{tool.so_far()}")
        return INTERRUPTED
    except SystemExit as error:  # a bad setting
        tool.say(str(error.code))
        return USAGE


@dataclass
class Tool:
    """One run of the tool."""

    asked: argparse.Namespace
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    count: Count = field(default_factory=Count)
    _lines: list[str] = field(default_factory=list)
    _agreed: Agreed | None = None

    @property
    def asks(self) -> bool:
        """Whether somebody is there who has to be asked before anything is done."""
        return self._needs_a_yes() and sys.stdin.isatty()

    def say(self, sentence: str) -> None:
        """Tell the operator, beside the output."""
        self.err.write(f"{sentence}\n")

    def so_far(self) -> str:
        """What was done before the tool ended early, as a sentence with a space before it."""
        if self.asked.command not in {"replay", "purge"} or self.asked.dry_run or not self.count.done:
            return ""
        return f" Before that: {self.asked.command} of {self.count.done} done."

    async def look_first(self, settings: RabbitSettings) -> int:
        """Show what would be deleted, and keep in mind which letters these are; the exit code, 0 if there are any."""
        agreed = Agreed(self._selection)
        found = await self._guarded(self._look_first(settings, agreed))
        self._agreed, self.count = agreed, Count()
        return found

    def is_told_to(self) -> bool:
        """Ask whether the letters seen are to be deleted, and wait for the answer."""
        number = self._agreed.number if self._agreed else 0
        self.err.write(f"Delete {number} of {self.asked.queue} for good? [y/N] ")
        self.err.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    async def run(self, settings: RabbitSettings) -> int:
        """Do what was asked for; the exit code. What was looked at first is all that is deleted."""
        return await self._guarded(self._run(settings))

    async def _guarded(self, work: Coroutine[Any, Any, int]) -> int:
        try:
            return await work
        except ToolError as error:
            self.say(f"{error}{self.so_far()}")
            return error.exit_code

    async def _look_first(self, settings: RabbitSettings, agreed: Agreed) -> int:
        selection = self._checked_selection()

        def show(letter: Letter, twin_of: int | None, why: str | None) -> None:
            agreed.note(letter)
            self._show(letter, twin_of, why)

        async with open_mailbox(settings) as mailbox:
            await self._pass(mailbox, selection, look, show)
        return DONE if agreed.number else self._conclusion()

    async def _run(self, settings: RabbitSettings) -> int:
        selection = self._agreed or self._checked_selection()
        if self._needs_a_yes():
            raise BadUsage("Purging deletes letters for good: say --yes, or see what it would be with --dry-run.")
        async with open_mailbox(settings) as mailbox:
            if self.asked.queue is None:
                return await self._overview(mailbox)
            await self._pass(mailbox, selection, self._action(), self._show)
        return self._conclusion()

    def _needs_a_yes(self) -> bool:
        return self.asked.command == "purge" and not (self.asked.yes or self.asked.dry_run or self._agreed)

    @property
    def _selection(self) -> Selection:
        return Selection.of(
            self.asked.which, reason=self.asked.reason, code=self.asked.code, endpoint=self.asked.endpoint
        )

    def _checked_selection(self) -> Selection:
        if self.asked.command != "list" and self._selection.names_something == self.asked.all:
            raise BadUsage("Say which letters: job ids, positions, --reason, --code or --endpoint; or --all.")
        return self._selection

    async def _overview(self, mailbox: Mailbox) -> int:
        for queue in DEAD_LETTER_QUEUES:
            letters = await mailbox.count(queue)
            fields = {"dead_letter_queue": queue, "letters": letters}
            self._lines.append(as_json(fields) if self.asked.json else f"{letters:>8}  {queue}")
        await self._flush()
        return DONE

    def _action(self) -> Action:
        asked = self.asked
        if asked.command == "replay":
            return ReplayLetter(even_if_unknown=asked.even_if_unknown, dry_run=asked.dry_run)
        return purge if asked.command == "purge" and not asked.dry_run else look

    async def _pass(self, mailbox: Mailbox, selection: Selection | Agreed, action: Action, show: Show) -> None:
        if self.asked.command == "list" and not self.asked.json:
            self._lines.append(HEADING)
        async with mailbox.sorting(self.asked.queue) as sorting:
            await go_through(
                sorting,
                selection,
                action=action,
                takes_away=self.asked.command in {"replay", "purge"} and not self.asked.dry_run and action is not look,
                show=show,
                count=self.count,
                flush=self._flush,
            )

    def _show(self, letter: Letter, twin_of: int | None, why: str | None) -> None:
        asked = self.asked
        shown = content(letter, params=asked.params) if asked.command == "show" else {}
        if asked.json:
            outcome = {} if asked.command in {"list", "show"} else {"outcome": self._outcome(why), "why": why}
            self._lines.append(as_json({**row(letter, twin_of=twin_of), **shown, **outcome}))
        elif asked.command == "show":
            self._lines.append(block(letter, twin_of=twin_of, params=asked.params))
        else:
            stays = f"\n       stays: {why}" if why else ""
            self._lines.append(f"{line(letter, twin_of=twin_of)}{stays}")

    def _outcome(self, why: str | None) -> str:
        if why is not None:
            return "left"
        word = "replayed" if self.asked.command == "replay" else "purged"
        return f"would be {word}" if self.asked.dry_run or self._needs_a_yes() else word

    async def _flush(self) -> None:
        """Write in a thread: a pager that isn't read would hold up the heartbeats else."""
        text, self._lines = "".join(f"{one}\n" for one in self._lines), []
        await asyncio.to_thread(self._write, text)

    def _write(self, text: str) -> None:
        """Nobody may be reading any more, as after `| head`: the pass goes on, so that the letters keep their order."""
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())

    def _conclusion(self) -> int:
        count, command = self.count, self.asked.command
        if not count.matched:
            self.say(f"No such letter in {self.asked.queue}." if command != "list" else "No letters.")
            return DONE if command == "list" and not self._is_narrowed() else NOT_ALL
        if command in {"replay", "purge"}:
            left = f", {count.left} left" if count.left else ""
            copies = f", with {_copies(count.copies)} that lay beside" if count.copies else ""
            self.say(f"{count.done} {self._outcome(None)}{copies}{left}.")
        elif count.copies:
            self.say(f"Not shown: {_copies(count.copies)} (docs/runbook.md).")
        return NOT_ALL if count.left else DONE

    def _is_narrowed(self) -> bool:
        return self._selection.names_something


def _copies(number: int) -> str:
    return "1 second copy" if number == 1 else f"{number} second copies"
