"""Deliveries from the event to their end, with fakes: what is sent, stored and left behind, and what crashes cost."""

import contextlib
import json

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from standardwebhooks import Webhook

from flickrhub_common.contracts import Callback, CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_common.sealing import key_id
from flickrhub_common.settling import Postpone, decide
from flickrhub_common.signing import hex_signature
from flickrhub_common.testing import Sent
from flickrhub_common.topology import CALLBACK_DLQ
from flickrhub_notifier.errors import KeyMissing, UnknownDelivery
from flickrhub_notifier.models import Answer, Delivery, DeliveryState, Post
from tests.support.samples import a_completion
from tests.unit.notifier.fakes import FakeReceiver
from tests.unit.notifier.notifier_on_fakes import (
    BOTH_KEYS,
    JOB,
    KEYS,
    OTHER_KEYS,
    SECRET,
    URL,
    Notifier,
    an_event,
    later,
)

# -- the ordinary course ------------------------------------------------------------------------------------------


async def test_a_callback_that_is_taken_at_once_is_delivered_and_leaves_no_message(notifier: Notifier) -> None:
    await notifier.event()
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert notifier.statuses == [(1, 200, None)]
    assert notifier.messaging.sent == []
    [post] = notifier.receiver.posts
    assert (post.url, post.body) == (URL, notifier.delivery.body)


async def test_a_failed_job_is_called_back_too(notifier: Notifier) -> None:
    await notifier.event(an_event(failed=True))
    assert json.loads(notifier.receiver.posts[0].body)["error"] == {"message": "Photo not found.", "code": "FLICKR_1"}


async def test_an_event_without_a_callback_is_nothing_to_do(notifier: Notifier) -> None:
    await notifier.event(a_completion(JOB))
    assert (notifier.deliveries.stored, notifier.receiver.posts, notifier.messaging.sent) == ({}, [], [])


async def test_with_callbacks_switched_off_nothing_is_stored_or_sent() -> None:
    notifier = Notifier(enabled=False)
    await notifier.event()
    assert (notifier.deliveries.stored, notifier.receiver.posts, notifier.messaging.sent) == ({}, [], [])


async def test_a_failure_waits_in_the_ladder_and_the_second_attempt_can_succeed(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500)]
    await notifier.event()
    assert notifier.delivery.state.value == "pending"
    assert notifier.messaging.sent == [later(2, 1.0)]
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert notifier.statuses == [(1, 500, None), (2, 200, None)]
    assert len(notifier.messaging.sent) == 1


async def test_every_attempt_sends_the_same_bytes_and_id_with_a_time_and_signature_of_its_own(
    notifier: Notifier,
) -> None:
    notifier.receiver.answers = [Answer(500), Answer(500)]
    await notifier.event()
    await notifier.next_due()
    await notifier.next_due()
    posts = notifier.receiver.posts
    assert len(posts) == 3
    assert len({post.body for post in posts}) == 1
    assert {post.headers["webhook-id"] for post in posts} == {JOB}
    assert len({post.headers["webhook-timestamp"] for post in posts}) == 3
    assert len({post.headers["webhook-signature"] for post in posts}) == 3
    assert len({post.headers["X-Signature"] for post in posts}) == 1


async def test_the_last_failure_ends_in_one_dead_letter_that_holds_ids_and_the_origin_only(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500), Answer(error="timeout"), Answer(503)]
    await notifier.event()
    await notifier.next_due()
    await notifier.next_due()
    assert (notifier.delivery.state, notifier.delivery.reason) == (DeliveryState.FAILED, "http_503")
    assert notifier.statuses == [(1, 500, None), (2, None, "timeout"), (3, 503, None)]
    assert [sent.seconds for sent in notifier.messaging.all("later")] == [1.0, 2.0]
    trace_id = notifier.delivery.trace_id
    headers = {"reason": "http_503", "attempts": 3, "job_id": JOB, "trace_id": trace_id, "replays": 0}
    headers["endpoint"] = "https://hooks.example:8443"
    expected = Sent("dead", CallbackDue(job_id=JOB, attempt=3), queue=CALLBACK_DLQ, headers=headers)
    assert notifier.messaging.all("dead") == [expected]
    assert notifier.delivery.dead_lettered_at == notifier.clock.now()


async def test_a_receiver_that_is_gone_is_asked_once(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(410)]
    await notifier.event()
    assert notifier.delivery.state is DeliveryState.GONE
    assert [sent.how for sent in notifier.messaging.sent] == ["dead"]
    assert notifier.messaging.sent[0].headers["reason"] == "http_410"


async def test_a_refused_address_burns_no_retries_and_its_dead_letter_reveals_no_address(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(error="refused_address")]
    await notifier.event(an_event(url="http://10.0.0.7/"))
    assert notifier.delivery.state is DeliveryState.FAILED
    [dead] = notifier.messaging.sent
    assert (dead.how, dead.headers["reason"], dead.headers["attempts"]) == ("dead", "refused_address", 1)
    assert "10.0.0.7" not in repr(dead)


async def test_a_wait_that_the_receiver_asks_for_is_kept(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(429, retry_after="90")]
    await notifier.event()
    assert notifier.messaging.sent == [later(2, 90.0)]


# -- signatures ---------------------------------------------------------------------------------------------------


async def test_without_a_secret_there_is_an_id_and_a_time_but_no_signature(notifier: Notifier) -> None:
    await notifier.event(an_event(secret=None))
    [post] = notifier.receiver.posts
    assert dict(post.headers) == {
        "Content-Type": "application/json",
        "webhook-id": JOB,
        "webhook-timestamp": str(int(notifier.clock.now().timestamp())),
    }


async def test_a_secret_signs_in_both_forms(notifier: Notifier) -> None:
    await notifier.event()
    [post] = notifier.receiver.posts
    assert post.headers["X-Signature"] == hex_signature(post.body, SECRET)
    assert post.headers["webhook-timestamp"] == str(int(notifier.clock.now().timestamp()))
    assert post.headers["webhook-signature"] == Webhook(SECRET).sign(JOB, notifier.clock.now(), post.body.decode())


async def test_a_secret_whose_key_was_taken_away_is_tried_again_and_never_sent_unsigned(notifier: Notifier) -> None:
    notifier.receiver.answers.append(Answer(503))
    await notifier.event()
    notifier.keys = OTHER_KEYS
    await notifier.next_due()
    assert len(notifier.receiver.posts) == 1
    assert notifier.statuses[1:] == [(2, None, "secret_unreadable")]
    notifier.keys = KEYS  # an operator has put it back
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.DELIVERED


async def test_an_event_whose_key_is_missing_waits_without_counting_until_it_is_there() -> None:
    notifier = Notifier(keys=OTHER_KEYS)
    with pytest.raises(KeyMissing) as caught:
        await notifier.event()
    assert isinstance(decide(caught.value, {}), Postpone)
    assert notifier.deliveries.stored == {}
    notifier.keys = KEYS
    await notifier.event()
    assert notifier.delivery.state is DeliveryState.DELIVERED


async def test_an_event_that_comes_again_after_its_key_was_taken_away_has_its_delivery_followed() -> None:
    notifier = Notifier(keys=BOTH_KEYS)
    notifier.receiver.answers.append(Answer(503))
    await notifier.event()
    notifier.keys = OTHER_KEYS
    await notifier.event()
    assert notifier.messaging.sent[1:] == [later(2, 1.0)], "what the first event came to may not have been sent"
    notifier.clock.advance(1.0)
    await notifier.due(2)
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert len(notifier.receiver.posts) == 2


async def test_a_secret_is_stored_under_the_newest_key_whichever_it_came_under() -> None:
    notifier = Notifier(keys=BOTH_KEYS)
    await notifier.event()
    assert notifier.receiver.posts[0].headers["X-Signature"]
    assert key_id(str(notifier.delivery.sealed_secret)) == "k2"
    assert OTHER_KEYS.open(str(notifier.delivery.sealed_secret), purpose="callback_secret", owner=JOB) == SECRET


async def test_a_secret_of_another_job_does_not_open(notifier: Notifier) -> None:
    stolen = KEYS.seal(SECRET, purpose="callback_secret", owner="another-job")
    event = an_event().model_copy(update={"callback": Callback(url=URL, sealed_secret=stolen)})
    await notifier.event(event)
    assert notifier.receiver.posts == []


async def test_a_secret_that_cannot_sign_ends_the_delivery(notifier: Notifier) -> None:
    await notifier.event(an_event("whsec_not base64"))
    assert notifier.receiver.posts == []
    assert notifier.messaging.sent[0].headers["reason"] == "secret_unusable"


# -- copies and crashes ---------------------------------------------------------------------------------------------


async def test_an_event_that_comes_twice_is_delivered_once(notifier: Notifier) -> None:
    await notifier.event()
    await notifier.event()
    assert len(notifier.receiver.posts) == 1
    assert notifier.messaging.sent == []


async def test_a_second_copy_during_the_first_attempt_waits_for_the_claim_to_end(notifier: Notifier) -> None:
    stored: list[Delivery] = []
    notifier.receiver.during = lambda: stored.append(notifier.delivery)
    await notifier.event()
    notifier.deliveries.stored[JOB] = stored[0]  # as a second copy of the event finds it
    await notifier.event()
    assert len(notifier.receiver.posts) == 1
    assert notifier.messaging.sent == [later(1, 23.0)]


async def test_what_came_of_a_post_is_kept_until_mongo_is_back_and_nothing_is_posted_again(notifier: Notifier) -> None:
    notifier.deliveries.away = {"record"}
    await notifier.event()
    assert (len(notifier.receiver.posts), notifier.statuses) == (1, [(1, 200, None)])
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert notifier.messaging.sent == []


async def test_a_crash_between_post_and_record_costs_one_more_post_of_the_same_bytes_and_id(notifier: Notifier) -> None:
    notifier.deliveries.away = {"record"}
    notifier.record_patience = 0.0
    with pytest.raises(Unavailable):
        await notifier.event()
    await notifier.event()  # the message comes again: the claim still holds
    assert len(notifier.receiver.posts) == 1
    await notifier.next_due()
    first, second = notifier.receiver.posts
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert notifier.statuses == [(1, 200, None)]


async def test_a_retry_whose_message_was_lost_is_sent_when_the_event_comes_again(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500)]
    notifier.messaging.away = True
    with pytest.raises(Unavailable):
        await notifier.event()
    notifier.messaging.away = False
    await notifier.event()
    assert notifier.messaging.sent == [later(2, 1.0)]
    assert len(notifier.receiver.posts) == 1


async def test_a_retry_whose_message_was_lost_is_sent_when_the_due_message_comes_again(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500), Answer(500)]
    await notifier.event()
    notifier.clock.advance(1)
    notifier.messaging.away = True
    with pytest.raises(Unavailable):
        await notifier.due(2)
    notifier.messaging.away = False
    await notifier.due(2)
    assert notifier.messaging.sent[-1] == later(3, 2.0)
    assert len(notifier.receiver.posts) == 2


@pytest.mark.parametrize("lost", ["the dead letter", "its note"])
async def test_a_dead_letter_that_may_be_missing_is_sent_when_the_message_comes_again(
    notifier: Notifier, lost: str
) -> None:
    notifier.receiver.answers = [Answer(410)]
    if lost == "the dead letter":
        notifier.messaging.away = True
    else:
        notifier.deliveries.away = {"mark_buried"}
    with pytest.raises(Unavailable):
        await notifier.event()
    notifier.messaging.away = False
    await notifier.event()
    await notifier.event()
    assert len(notifier.messaging.all("dead")) == (1 if lost == "the dead letter" else 2)
    assert notifier.delivery.dead_lettered_at is not None
    assert len(notifier.receiver.posts) == 1


async def test_repeated_due_messages_make_no_repeated_attempts(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500)]
    await notifier.event()
    notifier.clock.advance(1)
    for attempt in (2, 2, 1, 2):
        await notifier.due(attempt)
    assert notifier.statuses == [(1, 500, None), (2, 200, None)]


async def test_a_due_message_that_is_early_or_late_in_its_number_attempts_nothing(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500)]
    await notifier.event()
    await notifier.due(2)  # half a second of clock skew, say: not yet due
    await notifier.due(1)
    await notifier.due(3)
    assert len(notifier.receiver.posts) == 1
    assert {sent.message for sent in notifier.messaging.sent} == {CallbackDue(job_id=JOB, attempt=2)}


async def test_a_claim_that_ran_out_is_taken_over_and_the_late_failure_changes_nothing(notifier: Notifier) -> None:
    async def the_other_copy() -> None:
        notifier.clock.advance(26)
        await notifier.due(1)

    class Overtaken(FakeReceiver):
        async def post(self, post: Post) -> Answer:
            answer = await super().post(post)
            if len(self.posts) == 1:
                await the_other_copy()
                return Answer(500)
            return answer

    notifier.receiver = Overtaken()
    await notifier.event()
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert notifier.statuses == [(1, 200, None), (1, 500, None)]
    assert notifier.messaging.sent == []


async def test_a_due_message_of_which_nothing_is_stored_raises(notifier: Notifier) -> None:
    with pytest.raises(UnknownDelivery):
        await notifier.due(1)


@pytest.mark.parametrize("method", ["open", "claim", "load"])
async def test_while_mongo_is_away_nothing_is_sent_and_the_message_waits(notifier: Notifier, method: str) -> None:
    notifier.deliveries.away = {method}
    if method == "open":
        with pytest.raises(Unavailable):
            await notifier.event()
    else:
        notifier.receiver.answers = [Answer(500)]
        await notifier.event()
        notifier.clock.advance(1)
        with pytest.raises(Unavailable):
            await notifier.due(2)
        assert notifier.endpoints.under_way == 0
    assert len(notifier.receiver.posts) == (0 if method == "open" else 1)


# -- traces and secrets ---------------------------------------------------------------------------------------------


async def test_an_attempt_stays_in_the_trace_of_its_message_and_else_goes_on_with_the_jobs(notifier: Notifier) -> None:
    tracer = TracerProvider().get_tracer("test")
    seen: list[tuple[int, int]] = []

    def note() -> None:
        context = trace.get_current_span().get_span_context()
        seen.append((context.trace_id, context.span_id))

    notifier.receiver.during = note
    notifier.receiver.answers = [Answer(500), Answer(500)]
    with tracer.start_as_current_span("the event is read") as read:
        await notifier.event()
    with tracer.start_as_current_span("put back by hand"):
        await notifier.next_due()
    await notifier.next_due()
    job = (read.get_span_context().trace_id, read.get_span_context().span_id)
    assert seen == [job, job, job]


async def test_no_log_line_holds_the_secret_or_more_of_the_url_than_its_host(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500), Answer(error="tls_error"), Answer(410)]
    with structlog.testing.capture_logs() as lines:
        await notifier.event(an_event("a-client-secret"))
        await notifier.next_due()
        await notifier.next_due()
    text = repr(lines)
    assert [line["event"] for line in lines] == ["callback_attempted", "callback_attempted", "callback_given_up"]
    assert {line["endpoint"] for line in lines} == {"https://hooks.example:8443"}
    for secret in ("a-client-secret", "path-secret", "query-secret"):
        assert secret not in text
        assert secret not in repr(notifier.delivery)
        assert secret not in repr(notifier.messaging.sent)


async def test_the_stored_delivery_holds_the_secret_only_sealed(notifier: Notifier) -> None:
    await notifier.event(an_event("a-client-secret"))
    stored = notifier.delivery
    assert "a-client-secret" not in str([stored.sealed_secret, stored.body, stored.url, stored.trace])
    assert stored.sealed_secret is not None
    assert KEYS.open(stored.sealed_secret, purpose="callback_secret", owner=JOB) == "a-client-secret"


async def test_an_attempt_that_kills_its_notifier_each_time_is_given_up(notifier: Notifier) -> None:
    def dies() -> None:
        raise RuntimeError("a bug")

    notifier.receiver.during = dies
    with pytest.raises(RuntimeError):
        await notifier.event()
    for _ in range(40):
        notifier.clock.advance(30)
        with contextlib.suppress(RuntimeError):
            await notifier.due(1)
    assert len(notifier.receiver.posts) == 10
    assert (notifier.delivery.state, notifier.delivery.reason) == (DeliveryState.FAILED, "internal_error")
    assert len(notifier.messaging.all("dead")) == 1
