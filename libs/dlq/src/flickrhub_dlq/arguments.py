"""What may be typed after ``flickrhub-dlq``."""

import argparse

from flickrhub_common.topology import DEAD_LETTER_QUEUES

DESCRIPTION = (
    "Lists, shows, replays and purges FlickrHub's dead letters. The broker is RABBIT_URL (or RABBIT_URL_FILE)."
)
EPILOG = "Exit codes: 0 done, 1 nothing matched or something was left, 2 wrong usage, 3 no broker. See docs/runbook.md."


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
    command.add_argument("--endpoint", metavar="TEXT", help="callbacks whose receiver's origin has this text in it")
