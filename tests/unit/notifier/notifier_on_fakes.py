"""A notifier's use cases on fakes, and what comes to it."""

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta

from flickrhub_common.contracts import Callback, CallbackDue, JobCompleted, JobFailed
from flickrhub_common.retry import Backoff
from flickrhub_common.sealing import KeyRing
from flickrhub_common.testing import FakeClock, FakeMessaging, Sent
from flickrhub_common.topology import NOTIFIER_CALLBACKS_DUE
from flickrhub_notifier.models import Delivery
from flickrhub_notifier.usecases import AdmitAttempt, ContinueDelivery, KeepLines, MakeAttempt, Policy, StartDelivery
from tests.support.samples import a_completion, a_failure
from tests.unit.notifier.fakes import FakeDeliveries, FakeEndpoints, FakeReceiver

KEYS = KeyRing.parse("k1:" + b64encode(b"1" * 32).decode())
OTHER_KEYS = KeyRing.parse("k2:" + b64encode(b"2" * 32).decode())
BOTH_KEYS = KeyRing((*OTHER_KEYS.keys, *KEYS.keys))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
JOB = "0c7c2f9e-6c2b-4f1e-9d0a-000000000001"
URL = "https://hooks.example:8443/in/path-secret?key=query-secret"


def an_event(secret: str | None = SECRET, *, url: str = URL, failed: bool = False) -> JobCompleted | JobFailed:
    """An ended job that asks for a callback."""
    sealed = None if secret is None else KEYS.seal(secret, purpose="callback_secret", owner=JOB)
    event = a_failure(JOB) if failed else a_completion(JOB)
    return event.model_copy(update={"callback": Callback(url=url, sealed_secret=sealed)})


@dataclass
class Notifier:
    """The use cases on fakes."""

    deliveries: FakeDeliveries = field(default_factory=FakeDeliveries)
    receiver: FakeReceiver = field(default_factory=FakeReceiver)
    messaging: FakeMessaging = field(default_factory=FakeMessaging)
    clock: FakeClock = field(default_factory=FakeClock)
    keys: KeyRing = KEYS
    enabled: bool = True
    endpoints: FakeEndpoints = field(default_factory=FakeEndpoints)
    record_patience: float = 60.0
    lines: KeepLines = field(init=False)
    admit: AdmitAttempt = field(init=False)

    def __post_init__(self) -> None:
        self.lines = KeepLines(
            self.deliveries, self.endpoints, self.messaging, self.clock, expire_after=timedelta(hours=72)
        )
        self.admit = AdmitAttempt(self.endpoints, self.lines, self.clock, concurrency=2)

    def make(self) -> MakeAttempt:
        policy = Policy(max_attempts=3, backoff=Backoff(first=1, jitter=0), timeout_seconds=15)
        return MakeAttempt(
            *(self.deliveries, self.receiver, self.messaging, self.keys, self.clock, policy, self.admit, self.lines),
            record_patience=self.record_patience,
        )

    async def event(self, event: JobCompleted | JobFailed | None = None) -> None:
        await StartDelivery(self.make(), enabled=self.enabled)(event or an_event())

    async def due(self, attempt: int, **other: int) -> None:
        await ContinueDelivery(self.make())(CallbackDue(job_id=JOB, attempt=attempt, **other))

    async def next_due(self) -> None:
        """Let the time of the last message in the ladder come, and its message with it."""
        sent = self.messaging.all("later")[-1]
        assert isinstance(sent.message, CallbackDue)
        self.clock.advance(sent.seconds or 0)
        await ContinueDelivery(self.make())(sent.message)

    @property
    def delivery(self) -> Delivery:
        return self.deliveries.stored[JOB]

    @property
    def statuses(self) -> list[tuple[int, int | None, str | None]]:
        return [(a.number, a.answer.status, a.answer.error) for a in self.deliveries.attempts[JOB]]


def later(attempt: int, seconds: float) -> Sent:
    return Sent("later", CallbackDue(job_id=JOB, attempt=attempt), queue=NOTIFIER_CALLBACKS_DUE, seconds=seconds)
