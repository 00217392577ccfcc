"""Everything one simulator holds, in one object, so that several can live in one process."""

import time
from collections.abc import Callable

from flickr_sim.budget import Budget
from flickr_sim.calls import CallLog
from flickr_sim.credentials import App, Credentials
from flickr_sim.faults import Faults
from flickr_sim.journal import Journal
from flickr_sim.settings import Settings
from flickr_sim.verification import Verifier
from flickr_sim.world.generate import generate


class Simulator:
    """The world, who may call, what was called, and what is to go wrong."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._journal = Journal(settings.state_file)
        self.clock = clock
        self.world = generate(settings.seed)
        demo = App(settings.demo_api_key, settings.demo_api_secret)
        self.credentials = Credentials(demo=demo, clock=clock, journal=self._journal)
        self.verifier = Verifier(self.credentials, clock)
        self.calls = CallLog(clock)
        self.faults = Faults()
        self.budget = Budget(settings.rate_limit_per_hour, clock)

    def reset(self) -> None:
        """Start afresh: a new world of the same seed, no calls, faults, tokens or apps but the demo pair."""
        self.world = generate(self._settings.seed)
        self.credentials.reset()
        self.verifier.reset()
        self.calls.reset()
        self.faults.reset()
        self.budget.reset()

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()
