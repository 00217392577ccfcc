"""The command line: ``flickrhub-dlq list|show|replay|purge``.

Exit codes: 0 done, 1 nothing matched or something was left, 2 wrong usage, 3 no broker.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from flickrhub_common.settings import RabbitSettings, load
from flickrhub_common.topology import DEAD_LETTER_QUEUES
from flickrhub_dlq.commands import Action, Count, ReplayLetter, go_through, look, purge
from flickrhub_dlq.errors import BadUsage, ToolError
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.mailbox import Mailbox, open_mailbox
from flickrhub_dlq.selection import Selection
from flickrhub_dlq.settings import DlqSettings
from flickrhub_dlq.showing import HEADING, as_json, block, content, line, row

DONE, NOT_ALL, USAGE, INTERRUPTED = 0, 1, 2, 130
DESCRIPTION = (
    "Lists, shows, replays and purges FlickrHub's dead letters. The broker is RABBIT_URL (or RABBIT_URL_FILE)."
)
EPILOG = "Exit codes: 0 done, 1 nothing matched or something was left, 2 wrong usage, 3 no broker. See docs/runbook.md."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; its exit code."""
    logging.disable(logging.CRITICAL)  # the drivers' own words name hosts
    asked = parser().parse_args(arguments)
    tool = Tool(asked)
    try:
        return asyncio.run(tool.run(load(DlqSettings)))
    except KeyboardInterrupt:
        tool.say(f"Stopped.{tool.so_far()}")
        return INTERRUPTED
    except SystemExit as error:  # a bad setting
        tool.say(str(error.code))
        return USAGE


def parser() -> argparse.ArgumentParser:
    """What may be typed."""
    top = argparse.ArgumentParser(prog="flickrhub-dlq", description=DESCRIPTION, epilog=EPILOG)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = _command(commands, "list", "one line a letter; without a queue, how many letters each queue has")
    listing.add_argument("queue", nargs="?", choices=DEAD_LETTER_QUEUES, metavar="QUEUE")
    _selection(listing)
    for name, what in (
        ("show", "everything about letters that may be shown"),
        ("replay", "have letters done again, then take them away"),
        ("purge", "delete letters for good"),
    ):
        command = _command(commands, name, what)
        command.add_argument("queue", choices=DEAD_LETTER_QUEUES, metavar="QUEUE")
        _selection(command)
        command.add_argument("--all", action="store_true", help="every letter of the queue")
        if name == "show":
            command.add_argument("--params", action="store_true", help="with the values of the calls' params")
        else:
            command.add_argument("--dry-run", action="store_true", help="only say what would be done")
        if name == "replay":
            command.add_argument(
                "--even-if-unknown",
                action="store_true",
                help="also calls that Flickr may have done, and would do twice",
            )
        if name == "purge":
            command.add_argument("--yes", action="store_true", help="don't ask")
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    queues = f"QUEUE is one of {', '.join(DEAD_LETTER_QUEUES)}."
    command = commands.add_parser(name, help=what, description=f"{name}: {what}.", epilog=f"{queues} {EPILOG}")
    command.add_argument("--json", action="store_true", help="one line of JSON a letter")
    return command


def _selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("which", nargs="*", metavar="JOB_ID|POSITION", help="these letters only")
    command.add_argument("--reason", metavar="TEXT", help="letters whose reason has this text in it")
    command.add_argument("--code", metavar="CODE", help="letters of this code, as FLICKR_105")


@dataclass
class Tool:
    """One run of the tool."""

    asked: argparse.Namespace
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    count: Count = field(default_factory=Count)
    _lines: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Tell the operator, beside the output."""
        self.err.write(f"{sentence}\n")

    def so_far(self) -> str:
        """What was done before the tool ended early, as a sentence with a space before it."""
        if self.asked.command not in {"replay", "purge"} or self.asked.dry_run or not self.count.done:
            return ""
        return f" Before that: {self.asked.command} of {self.count.done} done."

    async def run(self, settings: RabbitSettings) -> int:
        """Do what was asked for; the exit code."""
        try:
            return await self._run(settings)
        except ToolError as error:
            self.say(f"{error}{self.so_far()}")
            return error.exit_code

    async def _run(self, settings: RabbitSettings) -> int:
        selection = self._selection()
        async with open_mailbox(settings) as mailbox:
            if self.asked.queue is None:
                return await self._overview(mailbox)
            if self.asked.command == "purge" and not await self._may_purge(mailbox, selection):
                return NOT_ALL
            await self._pass(mailbox, selection, self._action())
        return self._conclusion()

    def _selection(self) -> Selection:
        asked = self.asked
        selection = Selection.of(asked.which, reason=asked.reason, code=asked.code)
        if asked.command != "list" and selection.names_something == asked.all:
            raise BadUsage("Say which letters: job ids, positions, --reason or --code; or --all.")
        return selection

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

    async def _may_purge(self, mailbox: Mailbox, selection: Selection) -> bool:
        if self.asked.yes or self.asked.dry_run:
            return True
        if not sys.stdin.isatty():
            raise BadUsage("Purging deletes letters for good: say --yes, or see what it would be with --dry-run.")
        await self._pass(mailbox, selection, look)
        matched, self.count = self.count.matched, Count()
        if not matched:
            return True
        self.err.write(f"Delete {matched} of {self.asked.queue} for good? [y/N] ")
        self.err.flush()
        answer = await asyncio.to_thread(sys.stdin.readline)
        return answer.strip().lower() in {"y", "yes"}

    async def _pass(self, mailbox: Mailbox, selection: Selection, action: Action) -> None:
        if self.asked.command == "list" and not self.asked.json:
            self._lines.append(HEADING)
        async with mailbox.sorting(self.asked.queue) as sorting:
            await go_through(
                sorting,
                selection,
                action=action,
                takes_away=self.asked.command in {"replay", "purge"} and not self.asked.dry_run and action is not look,
                show=self._show,
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
        return f"would be {word}" if self.asked.dry_run else word

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
        return self._selection().names_something


def _copies(number: int) -> str:
    return "1 second copy" if number == 1 else f"{number} second copies"
