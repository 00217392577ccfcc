"""`make demo`: the main job in front of the user's eyes, from the OAuth walk to the signed callback.

Brings the local stack up if it isn't, and then stops what it brought up. Exit status 0 when every step succeeded, 1
with the reason when one didn't, 130 when interrupted.
"""

import os
import signal
import sys
from types import FrameType

from deploy.local.demo_screen import Screen, StepFailed
from deploy.local.demo_walk import walk
from deploy.local.stack import envfile
from deploy.local.stack.down import down
from deploy.local.stack.errors import CannotStart
from deploy.local.stack.places import Places
from deploy.local.stack.screen import complain, say
from deploy.local.stack.status import NOT_RUNNING, status
from deploy.local.stack.up import up

INTERRUPTED = 130


def main() -> int:
    """Show the main job and return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen(sys.stdout, environ=os.environ)
    places = Places.from_environment(os.environ)
    try:
        return _show(screen, places)
    except (StepFailed, CannotStart) as error:
        complain(f"Error: {error}")
    except KeyboardInterrupt:
        complain("Interrupted.")
        return INTERRUPTED
    return 1


def _show(screen: Screen, places: Places) -> int:
    if os.environ.get("MOCK_FLICKR", "true").lower() in ("false", "0", "off", "no", "f", "n"):
        raise StepFailed("the demo makes the simulated Flickr fail on purpose: run it without MOCK_FLICKR=false")
    started = status(places, quietly=True) == NOT_RUNNING
    screen.title("FlickrHub's main job, end to end")
    try:
        # With a stack that runs, whatever it was started with, this starts what has died of it.
        up(places, os.environ if started else {})
        walk(screen, envfile.read(places.env_file))
        screen.done(f"Every step succeeded. Logs: {places.shown(places.logs)}/")
    finally:
        if started:
            down(places)
        else:
            say("The stack was running before and goes on running.")
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
