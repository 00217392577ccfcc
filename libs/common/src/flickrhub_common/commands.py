"""What a service's command line can ask for: nothing (then it serves), or a command of an operator's."""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.resealing import InUse
from flickrhub_common.resealing import Reseal as ResealPlaces

log = logger(__name__)

LONGEST_WAIT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Reseal:
    """Bring what the service keeps sealed under the newest key; wait so long for what can't be yet."""

    wait_seconds: float


def read_command(module: str, arguments: Sequence[str]) -> Reseal | None:
    """The command, None to serve. Ends the process with a usage line when it can't be understood."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Without a command: serve.")
    commands = parser.add_subparsers(dest="command")
    reseal = commands.add_parser("reseal", help="bring every sealed value under the newest key of ENCRYPTION_KEYS")
    reseal.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="SECONDS", help="wait so long for jobs that still carry an older"
    )
    asked = parser.parse_args(arguments)
    return Reseal(asked.wait) if asked.command == "reseal" else None


async def carry_out(
    reseal: ResealPlaces, *, wait_seconds: float, prepare: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Reseal; the exit status: 0 if no older key is needed any more, 1 if one is, 2 if it has to be run again.

    That is when a store was away, or somebody else had in hand what was to be resealed.
    """
    try:
        if prepare is not None:
            await prepare()
        return 0 if await reseal(wait_seconds=wait_seconds) else 1
    except InUse as error:
        log.error("reseal_broken_off", reason=str(error))  # noqa: TRY400 - the text says it all
        return 2
    except Unavailable as error:
        log.error("reseal_broken_off", dependency=error.dependency)  # noqa: TRY400 - the name says it all
        return 2


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= LONGEST_WAIT_SECONDS:
        raise argparse.ArgumentTypeError("must be between 0 and a week, in seconds")
    return value
