"""One message of `flickr_upload` or `flickr_replace` after another, and how often a photo is at Flickr in the end."""

import asyncio

import pytest

from flickrhub_common.contracts import JobRequested, JobRetrying, Reservation, Target, TokenRejected
from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_executor.errors import PermanentFailure, TransientFailure
from flickrhub_executor.models import FlickrReply, Go, WaitForTurn
from flickrhub_executor.usecases.hold_claim import LEASE_SECONDS
from tests.support.photographs import jpeg
from tests.unit.executor.fakes import SECRETS, TELLING, ok, says
from tests.unit.executor.upload_fakes import (
    UploadExecutor,
    answers,
    broken_off,
    flickr_of,
    lost,
    progress,
    progressed,
    refuses,
)

TAG = "flickrhub:job=5d0f1cf77f704d39a2f63f3b3c0b7f10"
SEARCH, NEWEST = "flickr.photos.search", "flickr.people.getPhotos"
LOOKS = [("look", 1.0), ("look", 4.0), ("look", 15.0), ("look", 40.0)]
HTML = b"<html><body>Oops</body></html>"


# -- a photo is sent -------------------------------------------------------------------------------------------------


async def test_an_upload_is_sent_once_with_its_tag_first_and_completed_with_flickr_s_answer() -> None:
    executor = UploadExecutor()
    params = {"photo_ref": "a-ref", "filename": "a.jpg", "title": "Köln", "tags": 'cat "two words"', "is_public": "0"}
    await executor.run(executor.job(params=params))
    (fields,) = executor.flickr.sent
    assert fields == {
        "title": "Köln",
        "is_public": "0",
        "tags": f'{TAG} cat "two words"',
        "dedup_check": "1",
    }
    (kept,) = executor.flickr.kept
    assert kept.data == executor.photos.photograph.data
    event = executor.completed()
    assert event.flickr == (f'{{"stat":"ok","photoid":{{"secret":"s","originalsecret":"o","_content":"{kept.id}"}}}}')
    assert (event.http_status, event.duration_ms, event.attempts_made, event.from_cache) == (200, 34, 1, False)
    assert [sent.how for sent in executor.messaging.sent] == ["event"]
    assert executor.cache.generation == {"user-1": 1}


async def test_an_upload_without_tags_has_its_own() -> None:
    executor = UploadExecutor()
    await executor.run(executor.job())
    assert executor.flickr.sent == [{"tags": TAG, "dedup_check": "1"}]


async def test_a_replacement_is_sent_without_tag_or_check_for_duplicates() -> None:
    executor = UploadExecutor(target=Target.REPLACE)
    await executor.run(executor.job())
    assert executor.flickr.sent == [{"photo_id": "777"}]
    assert executor.photo_id() == executor.flickr.kept[0].id
    assert executor.cache.generation == {"user-1": 1}


async def test_an_upload_waits_for_its_turn_in_the_ladder_and_opens_nothing_before() -> None:
    executor = UploadExecutor()
    place = Reservation(limit="key", at=1234.5)
    executor.limits.script = [WaitForTurn(7.5, place), Go(0.25)]
    await executor.run_to_the_end(executor.job())
    assert [reservation for _, _, reservation in executor.limits.asked] == [None, place]
    assert (executor.paused, len(executor.photos.opened), len(executor.flickr.sent)) == ([0.25], 1, 1)
    assert executor.completed().attempts_made == 1


async def test_every_call_has_a_turn_and_no_message_makes_more_than_one() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [refuses(105)]
    await executor.run_to_the_end(executor.job())
    calls = len(executor.flickr.sent) + len(executor.flickr.asked)
    assert calls == len(executor.limits.asked) == 6


async def test_the_photo_s_own_name_goes_with_an_extension_that_says_what_it_is() -> None:
    executor = UploadExecutor()
    executor.photos.photograph = jpeg(filename="IMG_1")
    await executor.run(executor.job())
    assert [(photo.filename, photo.content_type) for photo in executor.flickr.photos] == [("IMG_1.jpg", "image/jpeg")]


# -- an answer is lost -----------------------------------------------------------------------------------------------


async def test_after_a_lost_answer_the_photo_is_looked_for_and_found() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    await executor.run_to_the_end(executor.job())
    assert (len(executor.flickr.sent), len(executor.flickr.kept)) == (1, 1)
    assert executor.steps() == LOOKS[:1]
    (look,) = executor.flickr.asked
    assert (look.method, look.http_method) == (SEARCH, "GET")
    assert {("user_id", "me"), ("machine_tags", TAG)} <= set(look.params)
    assert executor.names() == ["job.retrying", "job.completed"]
    assert flickr_of(executor.completed()) == {"stat": "ok", "photoid": {"_content": executor.flickr.kept[0].id}}
    assert executor.completed().attempts_made == 2
    assert executor.cache.generation == {"user-1": 2}


async def test_a_photo_that_search_doesn_t_know_yet_is_found_among_the_newest() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.hidden = {SEARCH}
    await executor.run_to_the_end(executor.job())
    assert [call.method for call in executor.flickr.asked] == [SEARCH, NEWEST]
    assert ("extras", "machine_tags") in executor.flickr.asked[1].params
    assert (executor.photo_id(), len(executor.flickr.sent)) == (executor.flickr.kept[0].id, 1)


async def test_what_isn_t_found_in_all_looks_is_sent_again_once() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [refuses(105, "Service currently unavailable")]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [*LOOKS, ("send", 0.0)]
    assert [call.method for call in executor.flickr.asked] == [SEARCH, NEWEST, SEARCH, NEWEST]
    assert (len(executor.flickr.sent), len(executor.flickr.kept)) == (2, 1)
    assert executor.names() == ["job.retrying", "job.completed"]
    assert executor.completed().attempts_made == 2


async def test_another_job_s_photo_isn_t_taken_for_its_own() -> None:
    executor = UploadExecutor()
    await executor.run(executor.job(job_id="11111111-7f70-4d39-a2f6-3f3b3c0b7f10"))
    executor.flickr.script = [refuses(105)]
    executor.flickr.replies = [ok(b'{"photos":{"photo":[{"id":"1","machine_tags":"flickrhub:job=11"}]},"stat":"ok"}')]
    await executor.run_to_the_end(executor.job())
    assert len({kept.id for kept in executor.flickr.kept}) == 2
    assert len(executor.flickr.sent) == 3


DOUBTFUL = {
    "no answer": lost(),
    "500": FlickrReply(500, HTML, None, 1),
    "503": FlickrReply(503, HTML, None, 1),
    "504": FlickrReply(504, HTML, None, 1),
    "an answer nobody can read": FlickrReply(200, b"", None, 1),
    **{f"error {code}": refuses(code) for code in (0, 3, 105, 106, 201)},
}


@pytest.mark.parametrize("answer", DOUBTFUL.values(), ids=DOUBTFUL)
async def test_whatever_may_have_stored_the_photo_is_followed_by_a_look(answer: FlickrReply | Exception) -> None:
    executor = UploadExecutor()
    executor.flickr.script = [answer]
    await executor.run(executor.job())
    assert executor.steps() == LOOKS[:1]
    later = executor.later()
    assert (later.attempt, later.doubtful, progress(later).sequence) == (2, True, 2)
    assert executor.cache.generation == {"user-1": 1}
    (event,) = executor.events(JobRetrying)
    assert isinstance(event, JobRetrying)
    assert (event.attempts_made, (event.next_attempt_at - event.at).total_seconds()) == (1, 1.0)


CERTAIN = {
    "broken off before the end": broken_off(),
    "429": FlickrReply(429, HTML, None, 1),
    "a refused timestamp": FlickrReply(401, b"oauth_problem=timestamp_refused", None, 1),
    "error 14": refuses(14, "Auto Upload disabled"),
}


@pytest.mark.parametrize("answer", CERTAIN.values(), ids=CERTAIN)
async def test_whatever_surely_stored_nothing_is_tried_again_without_a_look(answer: FlickrReply | Exception) -> None:
    executor = UploadExecutor()
    executor.flickr.before = [answer] if isinstance(answer, Exception) else []
    executor.flickr.script = [] if isinstance(answer, Exception) else [answer]
    await executor.run(executor.job())
    assert executor.steps() == [("send", 1.0)]
    assert (executor.later().attempt, executor.later().doubtful) == (2, False)
    await executor.run(executor.later())
    assert (executor.completed().attempts_made, executor.flickr.asked) == (2, [])


async def test_flickr_s_own_wait_counts_before_the_next_attempt_and_before_a_look() -> None:
    executor = UploadExecutor(attempts=4)
    executor.flickr.script = [
        refuses(14, more='non_pro_desktop_upload_wait_time="90"'),
        FlickrReply(429, HTML, 30.0, 1),
        FlickrReply(503, HTML, 20.0, 1),
    ]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("send", 90.0), ("send", 30.0), ("look", 20.0)]


async def test_an_asynchronous_upload_is_looked_for_four_times_as_long() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [refuses(105)]
    await executor.run_to_the_end(executor.job(params={"photo_ref": "r", "async": "1"}))
    waits = [seconds for step, seconds in executor.steps() if step == "look"]
    assert waits == [wait for _, wait in LOOKS for _ in range(4)]
    assert len(executor.flickr.kept) == 1


@pytest.mark.parametrize("answer", [lost(), refuses(105), refuses(3), FlickrReply(504, HTML, None, 1)])
async def test_a_replacement_whose_answer_was_lost_is_sent_again_without_a_look(
    answer: FlickrReply | Exception,
) -> None:
    executor = UploadExecutor(target=Target.REPLACE)
    executor.flickr.script = [answer]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("send", 1.0)]
    assert executor.completed().attempts_made == 2
    assert (len(executor.flickr.sent), executor.flickr.asked) == (2, [])


# -- no attempt is left ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 3])
async def test_after_the_last_attempt_a_lost_photo_is_looked_for_and_found_too(attempts: int) -> None:
    executor = UploadExecutor(attempts=attempts)
    executor.flickr.script = [*[refuses(14)] * (attempts - 1), lost()]
    await executor.run_to_the_end(executor.job())
    assert executor.names() == [*["job.retrying"] * (attempts - 1), "job.completed"]
    assert (executor.completed().attempts_made, executor.photo_id()) == (attempts, executor.flickr.kept[0].id)


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_photo_lost_in_every_attempt_and_never_found_fails_as_unknown(attempts: int) -> None:
    executor = UploadExecutor(attempts=attempts)
    executor.flickr.script = [refuses(105)] * attempts
    await executor.run_to_the_end(executor.job())
    assert len(executor.flickr.sent) == attempts
    assert executor.names() == [*["job.retrying"] * (attempts - 1), "job.failed"]
    assert [step for step, _ in executor.steps()].count("look") == 4 * attempts
    event = executor.failed()
    assert (event.failure.code, event.attempts_made) == ("ERR_OUTCOME_UNKNOWN", attempts)
    assert event.failure.message.startswith(f"Gave up after {attempts} attempt")
    assert len(executor.messaging.all("dead")) == 1


async def test_attempts_that_surely_stored_nothing_end_with_the_last_reason() -> None:
    executor = UploadExecutor()
    executor.flickr.before = [broken_off(), broken_off(), broken_off()]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("send", 1.0), ("send", 2.0)]
    event = executor.failed()
    assert (event.failure.code, event.attempts_made) == ("ERR_FLICKR_UNREACHABLE", 3)
    assert event.failure.message == "Gave up after 3 attempts: The connection to Flickr broke."
    assert executor.names() == ["job.retrying", "job.retrying", "job.failed"]


async def test_a_replacement_s_attempts_end_with_the_last_reason_though_it_was_lost() -> None:
    executor = UploadExecutor(target=Target.REPLACE, attempts=2)
    executor.flickr.script = [lost(), lost()]
    await executor.run_to_the_end(executor.job())
    assert executor.failed().failure.code == "ERR_FLICKR_TIMEOUT"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 99, 100, 116])
async def test_what_flickr_refuses_for_good_ends_the_job_at_once(code: int) -> None:
    executor = UploadExecutor()
    executor.flickr.script = [refuses(code)]
    await executor.run_to_the_end(executor.job())
    assert (executor.names(), executor.flickr.asked) == (["job.failed"], [])
    assert executor.failed().failure.code == f"FLICKR_{code}"
    assert len(executor.messaging.all("dead")) == 1


@pytest.mark.parametrize("answer", [refuses(98), FlickrReply(401, b"oauth_problem=token_rejected", None, 1)])
async def test_a_dead_token_is_told_to_auth_and_ends_the_job(answer: FlickrReply) -> None:
    executor = UploadExecutor()
    executor.flickr.script = [answer]
    # `stat="fail"` isn't in a form, so that the fake would keep the photo: nothing looks for it here.
    await executor.run_to_the_end(executor.job())
    assert executor.names() == ["token.rejected", "job.failed"]
    assert executor.tokens.forgotten == ["user-1"]


async def test_an_account_that_isn_t_connected_ends_the_job_before_anything_is_opened() -> None:
    executor = UploadExecutor()
    executor.tokens.failure = TokenNotFound()
    await executor.run_to_the_end(executor.job())
    assert executor.failed().failure.code == "ERR_TOKEN_NOT_FOUND"
    assert (executor.photos.opened, executor.limits.asked) == ([], [])


async def test_a_copy_without_a_token_ends_nothing_while_another_one_is_sending() -> None:
    executor = UploadExecutor()
    await executor.claims.take(executor.job())
    executor.tokens.failure = TokenNotFound()
    await executor.run(executor.job())
    assert [sent.how for sent in executor.messaging.sent] == ["later"]


# -- duplicates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        refuses(9, beside="<duplicate_photo_id>4711</duplicate_photo_id>"),
        refuses(9, more='duplicate_photo_id="4711" duplicate_photo_status="ACTIVE"'),
    ],
)
async def test_a_photo_that_flickr_has_already_is_a_success_with_that_photo_s_id(answer: FlickrReply) -> None:
    executor = UploadExecutor()
    executor.flickr.script = [answer]
    await executor.run_to_the_end(executor.job())
    assert flickr_of(executor.completed()) == {
        "stat": "ok",
        "photoid": {"_content": "4711"},
        "duplicate_photo_id": {"_content": "4711"},
    }


async def test_a_photo_like_one_that_was_deleted_is_sent_again_without_the_check_in_the_same_attempt() -> None:
    executor = UploadExecutor()
    deleted = "<duplicate_photo_id>4711</duplicate_photo_id><duplicate_photo_status>DELETED</duplicate_photo_status>"
    executor.flickr.script = [refuses(9, beside=deleted)]
    await executor.run_to_the_end(executor.job())
    assert [("dedup_check" in fields) for fields in executor.flickr.sent] == [True, False]
    assert executor.names() == ["job.completed"]
    assert (executor.completed().attempts_made, executor.photo_id()) == (1, executor.flickr.kept[0].id)


async def test_that_no_check_is_wanted_is_remembered_over_a_lost_answer() -> None:
    executor = UploadExecutor()
    deleted = refuses(9, more='duplicate_photo_id="4711" duplicate_photo_status="DELETED"')
    executor.flickr.script = [deleted, refuses(105)]
    await executor.run_to_the_end(executor.job())
    assert [("dedup_check" in fields) for fields in executor.flickr.sent] == [True, False, False]


async def test_a_duplicate_of_a_deleted_photo_that_is_refused_without_the_check_too_fails() -> None:
    executor = UploadExecutor()
    deleted = refuses(9, more='duplicate_photo_id="4711" duplicate_photo_status="DELETED"')
    executor.flickr.script = [deleted, deleted]
    await executor.run_to_the_end(executor.job())
    assert (executor.failed().failure.code, len(executor.flickr.sent)) == ("FLICKR_9", 2)


# -- tickets ---------------------------------------------------------------------------------------------------------

ASYNC = {"photo_ref": "a-ref", "async": "1"}
TICKET = "78701040-72157636215117185"


def ticketed(target: Target = Target.UPLOAD, *tickets: dict[str, object]) -> UploadExecutor:
    """An executor whose Flickr gives a ticket, and says this of it."""
    executor = UploadExecutor(target=target)
    executor.flickr.script = [answers(f"<ticketid>{TICKET}</ticketid>")]
    executor.flickr.tickets = list(tickets)
    return executor


async def test_a_ticket_is_polled_through_the_ladder_until_the_photo_is_there() -> None:
    executor = ticketed(Target.UPLOAD, {"complete": 0}, {"complete": 0}, {"complete": 1, "photoid": "10100785685"})
    await executor.run_to_the_end(executor.job(params=ASYNC))
    assert executor.steps() == [("poll", 1.0), ("poll", 2.0), ("poll", 4.0)]
    assert {call.params for call in executor.flickr.asked} == {(("tickets", TICKET),)}
    assert flickr_of(executor.completed()) == {
        "stat": "ok",
        "photoid": {"_content": "10100785685"},
        "ticketid": {"_content": TICKET},
    }
    assert (executor.names(), executor.completed().attempts_made) == (["job.completed"], 1)
    assert len(executor.flickr.sent) == 1


@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE])
async def test_a_photo_that_flickr_couldn_t_process_fails_the_job(target: Target) -> None:
    executor = ticketed(target, {"complete": 2})
    await executor.run_to_the_end(executor.job(params=ASYNC))
    assert executor.failed().failure.code == "ERR_UPLOAD_NOT_PROCESSED"


async def test_a_ticket_that_flickr_doesn_t_know_is_a_lost_answer() -> None:
    executor = ticketed(Target.UPLOAD, {"invalid": 1})
    await executor.run_to_the_end(executor.job(params=ASYNC))
    assert executor.steps() == [("poll", 1.0), ("look", 1.0)]
    assert (executor.photo_id(), len(executor.flickr.sent)) == (executor.flickr.kept[0].id, 1)
    assert executor.names() == ["job.retrying", "job.completed"]


async def test_tickets_that_flickr_forgets_again_and_again_use_up_the_attempts() -> None:
    executor = ticketed(Target.UPLOAD, {"invalid": "1"})
    executor.flickr.script *= 3
    executor.flickr.hidden = {SEARCH, NEWEST}
    await executor.run_to_the_end(executor.job(params=ASYNC))
    assert (len(executor.flickr.sent), executor.failed().failure.code) == (3, "ERR_OUTCOME_UNKNOWN")


async def test_a_replacement_s_ticket_that_flickr_doesn_t_know_is_unknown() -> None:
    executor = ticketed(Target.REPLACE, {"invalid": 1})
    await executor.run_to_the_end(executor.job())
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"
    assert len(executor.flickr.sent) == 1


async def test_a_ticket_done_without_a_photo_s_id_is_looked_for_or_is_the_photo_that_was_replaced() -> None:
    upload = ticketed(Target.UPLOAD, {"complete": 1})
    await upload.run_to_the_end(upload.job(params=ASYNC))
    assert upload.photo_id() == upload.flickr.kept[0].id
    replace = ticketed(Target.REPLACE, {"complete": 1})
    await replace.run_to_the_end(replace.job())
    assert replace.photo_id() == "777"


@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE])
async def test_a_ticket_that_stays_pending_for_a_day_ends_as_unknown_and_nothing_is_sent_again(target: Target) -> None:
    executor = ticketed(target, {"complete": 0})
    begun = executor.clock.now()
    await executor.run_to_the_end(executor.job())
    waits = [seconds for _, seconds in executor.steps()]
    assert waits[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert max(seconds or 0 for seconds in waits) == 300
    assert 23.9 * 3600 < (executor.clock.now() - begun).total_seconds() <= 24 * 3600
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"
    assert len(executor.flickr.sent) == 1


# -- questions that aren't answered ----------------------------------------------------------------------------------


async def test_a_look_that_fails_is_asked_again_the_other_way_and_is_no_look_nor_attempt() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.replies = [FlickrReply(502, HTML, None, 1), lost(), FlickrReply(429, HTML, 30.0, 1)]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("look", 1.0), ("look", 1.0), ("look", 2.0), ("look", 30.0)]
    assert [call.method for call in executor.flickr.asked] == [SEARCH, NEWEST, SEARCH, NEWEST]
    assert executor.names() == ["job.retrying", "job.completed"]
    assert len(executor.flickr.sent) == 1


@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE])
async def test_a_poll_that_fails_is_asked_again(target: Target) -> None:
    executor = ticketed(target, {"complete": 1, "photoid": "12"})
    executor.flickr.replies = [FlickrReply(500, HTML, None, 1), ok(b'{"stat":"ok"}')]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("poll", 1.0), ("poll", 1.0), ("poll", 2.0)]
    assert executor.photo_id() == "12"


async def test_a_question_that_is_never_answered_is_given_up_after_about_an_hour_and_nothing_is_sent_again() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.replies = [FlickrReply(500, HTML, None, 1)] * 50
    begun = executor.clock.now()
    await executor.run_to_the_end(executor.job())
    assert 3000 < (executor.clock.now() - begun).total_seconds() < 5000
    assert (len(executor.flickr.asked), len(executor.flickr.sent)) == (20, 1)
    event = executor.failed()
    assert event.failure.code == "ERR_OUTCOME_UNKNOWN"
    assert event.failure.chain[1] == "caused by TransientFailure: Flickr failed (HTTP 500)."


async def test_an_answer_between_failures_counts_them_anew() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [refuses(105)]
    failure, nothing = FlickrReply(500, HTML, None, 1), ok(b'{"photos":{"photo":[]},"stat":"ok"}')
    executor.flickr.replies = [*[failure] * 19, nothing, *[failure] * 19]
    await executor.run_to_the_end(executor.job())
    assert executor.completed().attempts_made == 2


async def test_a_way_of_looking_that_is_refused_leaves_the_other_one() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.replies = [says(11, "No valid machine tags")]
    await executor.run_to_the_end(executor.job())
    assert [call.method for call in executor.flickr.asked] == [SEARCH, NEWEST]
    assert executor.completed()


async def test_a_look_that_is_refused_both_ways_ends_as_unknown() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.replies = [says(100, "Invalid API Key (Key has expired)")] * 2
    await executor.run_to_the_end(executor.job())
    event = executor.failed()
    assert (event.failure.code, len(executor.flickr.asked)) == ("ERR_OUTCOME_UNKNOWN", 2)
    assert event.failure.chain == [
        "OutcomeUnknown: The photo may be at Flickr, which can't be asked; look at Flickr before you repeat it.",
        "caused by PermanentFailure: Flickr answered with error 100",
    ]


async def test_a_refused_poll_ends_as_unknown() -> None:
    executor = ticketed()
    executor.flickr.replies = [says(100)]
    await executor.run_to_the_end(executor.job(params=ASYNC))
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"


@pytest.mark.parametrize("step", ["look", "poll"])
async def test_a_token_that_died_leaves_the_photo_unknown(step: str) -> None:
    executor = UploadExecutor()
    executor.flickr.replies = [says(98, "Invalid auth token")]
    await executor.run_to_the_end(progressed(executor.job(), step=step, ticket=TICKET))
    assert executor.names() == ["token.rejected", "job.failed"]
    assert executor.events(TokenRejected)
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"
    assert len(executor.flickr.asked) == 1


@pytest.mark.parametrize("step", ["look", "poll"])
async def test_an_account_that_was_disconnected_meanwhile_leaves_the_photo_unknown(step: str) -> None:
    executor = UploadExecutor()
    executor.tokens.failure = TokenNotFound()
    await executor.run_to_the_end(progressed(executor.job(), step=step, ticket=TICKET))
    event = executor.failed()
    assert (event.failure.code, event.failure.chain[-1]) == ("ERR_OUTCOME_UNKNOWN", "caused by TokenNotFound")


# -- copies of a message, and deaths ---------------------------------------------------------------------------------


async def dies_while_sending(executor: UploadExecutor, *, stored: bool) -> None:
    """An executor takes the job, sends perhaps all of the photo, and is never heard of again."""
    job = executor.job()
    await executor.claims.take(job)
    if stored:
        twin = UploadExecutor(target=executor.target, flickr=executor.flickr)
        await twin.run(job)
    executor.clock.advance(LEASE_SECONDS + 1)


async def test_after_a_death_while_sending_the_photo_is_looked_for_at_once_and_found() -> None:
    executor = UploadExecutor()
    await dies_while_sending(executor, stored=True)
    await executor.run_to_the_end(executor.job())
    assert (len(executor.flickr.sent), len(executor.flickr.kept), executor.steps()) == (1, 1, [])
    assert (executor.completed().attempts_made, executor.photo_id()) == (1, executor.flickr.kept[0].id)


async def test_after_a_death_that_stored_nothing_the_photo_is_sent_again_in_the_same_attempt() -> None:
    executor = UploadExecutor(attempts=1)
    await dies_while_sending(executor, stored=False)
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [*LOOKS[1:], ("send", 0.0)]
    assert (len(executor.flickr.sent), executor.names()) == (1, ["job.completed"])
    assert executor.completed().attempts_made == 1


async def test_a_few_deaths_use_up_no_attempt() -> None:
    executor = UploadExecutor(attempts=2)
    job = executor.job()
    for _ in range(4):
        await executor.claims.take(job)
        executor.clock.advance(LEASE_SECONDS + 1)
        before = len(executor.messaging.all("later"))
        while progress(job := await one_more(executor, job)).step != "send":
            pass
        assert len(executor.messaging.all("later")) == before + 4
    await executor.run(job)
    assert (len(executor.flickr.sent), executor.completed().attempts_made) == (1, 1)


async def one_more(executor: UploadExecutor, job: JobRequested) -> JobRequested:
    """Run a message; the one that follows."""
    await executor.run(job)
    following = executor.messaging.all("later")[-1].message
    assert isinstance(following, JobRequested)
    return following


@pytest.mark.parametrize(("step", "asks"), [("look", SEARCH), ("poll", "flickr.photos.upload.checkTickets")])
async def test_after_a_death_while_asking_the_question_is_asked_again(step: str, asks: str) -> None:
    executor = ticketed(Target.UPLOAD, {"complete": 1, "photoid": "12"})
    message = progressed(executor.job(), step=step, ticket=TICKET)
    await executor.claims.take(message)
    executor.clock.advance(LEASE_SECONDS + 1)
    await executor.run(message)
    assert ([call.method for call in executor.flickr.asked], executor.flickr.sent) == ([asks], [])


async def test_after_a_death_while_replacing_the_photo_is_sent_again() -> None:
    executor = UploadExecutor(target=Target.REPLACE)
    await dies_while_sending(executor, stored=True)
    await executor.run_to_the_end(executor.job())
    assert (len(executor.flickr.sent), executor.flickr.asked) == (2, [])
    assert executor.completed().attempts_made == 1


async def test_a_copy_of_a_photo_being_sent_is_put_aside_until_the_lease_is_over() -> None:
    executor = UploadExecutor()
    await executor.claims.take(executor.job())
    await executor.run(executor.job())
    (sent,) = executor.messaging.sent
    assert (sent.how, sent.queue, sent.seconds) == ("later", "flickr_upload", LEASE_SECONDS)
    assert executor.photos.opened == []


async def test_copies_of_every_message_of_a_job_change_nothing() -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.hidden = {SEARCH}
    messages = [executor.job()]
    messages.append(await one_more(executor, messages[-1]))
    messages.append(await one_more(executor, messages[-1]))
    await executor.run(messages[-1])
    assert executor.claims.state(messages[0]) == "reported"
    executor.clock.advance(1000)
    for message in messages:
        await executor.run(message)
    assert (len(executor.flickr.sent), executor.names()) == (1, ["job.retrying", "job.completed"])


# -- the claim is lost -----------------------------------------------------------------------------------------------


async def test_the_claim_is_held_as_long_as_the_photo_is_being_sent() -> None:
    executor = UploadExecutor()

    async def three_renewals() -> None:
        for _ in range(3):
            executor.clock.advance(LEASE_SECONDS - 1)
            await executor.renewal()

    executor.flickr.before_last = three_renewals
    await executor.run(executor.job())
    assert (executor.completed().attempts_made, len(executor.flickr.kept)) == (1, 1)


async def test_a_job_that_another_executor_took_over_isn_t_sent_to_its_end_and_nothing_is_told() -> None:
    executor = UploadExecutor()

    async def somebody_takes_over() -> None:
        executor.clock.advance(LEASE_SECONDS + 1)
        await executor.claims.take(executor.job())
        await executor.renewal()

    executor.flickr.before_last = somebody_takes_over
    await executor.run(executor.job())
    assert (executor.flickr.kept, executor.events()) == ([], [])
    assert executor.steps() == [("send", LEASE_SECONDS)]
    executor.clock.advance(LEASE_SECONDS - 1)
    await executor.run(executor.later())
    assert (executor.messaging.sent[-1].seconds, len(executor.flickr.sent)) == (1.0, 1)


async def test_a_photo_isn_t_sent_to_its_end_when_the_lease_ran_out_while_redis_was_away() -> None:
    executor = UploadExecutor()

    def redis_goes_away() -> None:
        executor.claims.away = True
        executor.clock.advance(LEASE_SECONDS)

    executor.flickr.before_last = redis_goes_away
    await executor.run(executor.job())
    assert (executor.flickr.kept, executor.events()) == ([], [])
    executor.claims.away = False
    executor.flickr.before_last = lambda: None
    executor.clock.advance(LEASE_SECONDS + 1)
    await executor.run_to_the_end(executor.later())
    assert (len(executor.flickr.kept), executor.names()) == (1, ["job.completed"])


async def test_a_renewal_that_fails_is_tried_again_and_a_short_absence_of_redis_harms_nothing() -> None:
    executor = UploadExecutor()

    async def redis_is_away_for_a_while() -> None:
        executor.claims.away = True
        for _ in range(2):
            executor.clock.advance(4)
            await executor.renewal()
        executor.claims.away = False
        executor.clock.advance(4)
        await executor.renewal()
        executor.clock.advance(LEASE_SECONDS - 1)

    executor.flickr.before_last = redis_is_away_for_a_while
    await executor.run(executor.job())
    assert executor.names() == ["job.completed"]


async def test_a_failure_isn_t_told_of_a_job_that_another_executor_took_over() -> None:
    executor = UploadExecutor()

    async def somebody_takes_over() -> None:
        executor.clock.advance(LEASE_SECONDS + 1)
        await executor.claims.take(executor.job())
        raise PermanentFailure("It is truncated.", code="ERR_PHOTO_TRUNCATED")

    executor.flickr.before_last = somebody_takes_over
    await executor.run(executor.job())
    assert (executor.events(), executor.claims.state(executor.job())) == ([], "running")


async def test_a_success_is_told_though_another_executor_took_over_meanwhile() -> None:
    executor = UploadExecutor()
    job = executor.job()

    def somebody_takes_over() -> None:
        executor.claims.entries[job.job_id].owner = "somebody"

    executor.flickr.at_end = somebody_takes_over
    await executor.run(job)
    assert executor.completed().flickr


# -- the photo isn't to be had ---------------------------------------------------------------------------------------


def unreachable() -> TransientFailure:
    return TransientFailure("The photo's server can't be reached.", code="ERR_PHOTO_UNREACHABLE")


async def test_a_source_that_is_away_for_the_moment_costs_an_attempt() -> None:
    executor = UploadExecutor()
    executor.photos.failures = [unreachable(), unreachable()]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("send", 1.0), ("send", 2.0)]
    assert executor.names() == ["job.retrying", "job.retrying", "job.completed"]
    assert executor.completed().attempts_made == 3


async def test_a_source_that_stays_away_fails_the_job_with_its_reason() -> None:
    executor = UploadExecutor()
    executor.photos.failures = [unreachable() for _ in range(3)]
    await executor.run_to_the_end(executor.job())
    assert (executor.failed().failure.code, executor.flickr.sent) == ("ERR_PHOTO_UNREACHABLE", [])


async def test_a_photo_that_isn_t_there_fails_the_job_at_once() -> None:
    executor = UploadExecutor()
    executor.photos.failures = [PermanentFailure("The photo is gone.", code="ERR_PHOTO_NOT_FOUND")]
    await executor.run_to_the_end(executor.job())
    assert (executor.failed().failure.code, executor.failed().attempts_made) == ("ERR_PHOTO_NOT_FOUND", 1)


async def test_a_photo_that_is_no_photo_never_reaches_flickr() -> None:
    executor = UploadExecutor()
    executor.photos.photograph = jpeg(3000)
    executor.photos.photograph.__dict__["data"] = b"<html>" * 500
    await executor.run_to_the_end(executor.job())
    assert (executor.failed().failure.code, executor.flickr.sent) == ("ERR_PHOTO_NOT_RECOGNISED", [])


async def test_a_truncated_photo_never_reaches_its_end_at_flickr() -> None:
    executor = UploadExecutor()
    executor.photos.photograph.__dict__["data"] = executor.photos.photograph.data[:-20]
    await executor.run_to_the_end(executor.job())
    assert (executor.failed().failure.code, executor.flickr.kept) == ("ERR_PHOTO_TRUNCATED", [])
    assert executor.flickr.asked == []


async def test_a_photo_shorter_than_its_source_said_is_fetched_again() -> None:
    executor = UploadExecutor()
    executor.photos.size = len(executor.photos.photograph.data) + 1
    await executor.run(executor.job())
    assert (executor.steps(), executor.flickr.kept) == ([("send", 1.0)], [])


# -- something of ours is away ---------------------------------------------------------------------------------------


async def test_without_the_photo_store_an_upload_waits_without_counting_and_without_doubt() -> None:
    executor = UploadExecutor()
    executor.photos.failures = [Unavailable("photo_store") for _ in range(5)]
    await executor.run_to_the_end(executor.job())
    assert executor.steps() == [("send", seconds) for seconds in (5.0, 10.0, 20.0, 40.0, 80.0)]
    assert (executor.names(), executor.flickr.asked) == (["job.completed"], [])
    assert executor.completed().attempts_made == 1


async def test_when_the_photo_store_goes_away_in_the_middle_the_upload_waits_too() -> None:
    executor = UploadExecutor()

    async def store_goes_away() -> None:
        raise Unavailable("photo_store")

    executor.flickr.before_last = store_goes_away
    await executor.run(executor.job())
    assert (executor.steps(), executor.flickr.kept) == ([("send", 5.0)], [])


async def test_an_answer_stands_whatever_happens_in_closing_the_photo() -> None:
    executor = UploadExecutor()
    executor.photos.closing = Unavailable("photo_store")
    await executor.run_to_the_end(executor.job())
    assert (executor.names(), len(executor.flickr.sent)) == (["job.completed"], 1)


async def test_a_lost_answer_is_lost_whatever_happens_in_closing_the_photo() -> None:
    executor = UploadExecutor()
    executor.photos.closing = Unavailable("photo_store")
    executor.flickr.script = [lost()]
    await executor.run_to_the_end(executor.job())
    assert (executor.steps(), len(executor.flickr.kept)) == (LOOKS[:1], 1)


async def test_a_send_cancelled_after_its_end_isn_t_taken_for_unsent_because_the_photo_couldn_t_be_closed() -> None:
    executor = UploadExecutor()
    executor.photos.closing = Unavailable("photo_store")
    executor.flickr.script = [asyncio.CancelledError()]
    await executor.run_to_the_end(executor.job())
    assert (executor.steps(), len(executor.flickr.kept)) == (LOOKS[:1], 1)


@pytest.mark.parametrize("part", ["auth", "limits", "claims"])
async def test_what_is_away_before_the_claim_leaves_everything_undone(part: str) -> None:
    executor = UploadExecutor()
    if part == "auth":
        executor.tokens.failure = Unavailable("auth")
    elif part == "limits":
        executor.limits.script = [Unavailable("redis")]
    else:
        executor.claims.away = True
    with pytest.raises(Unavailable):
        await executor.run(executor.job())
    assert (executor.photos.opened, executor.messaging.sent) == ([], [])


@pytest.mark.parametrize("forgets", [False, True])
async def test_when_redis_goes_away_before_the_success_is_noted_the_photo_is_looked_for(forgets: bool) -> None:
    executor = UploadExecutor()
    executor.flickr.at_end = lambda: setattr(executor.claims, "away", True)
    executor.cache.away = True
    await executor.run(executor.job())
    assert executor.steps() == [("look", 5.0)]
    executor.claims.away = executor.cache.away = False
    if forgets:
        executor.claims.entries.clear()
    await executor.run_to_the_end(executor.later())
    assert (len(executor.flickr.sent), executor.names()) == (1, ["job.completed"])
    assert executor.photo_id() == executor.flickr.kept[0].id


@pytest.mark.parametrize("forgets", [False, True])
async def test_when_redis_goes_away_after_a_lost_answer_the_photo_is_looked_for_all_the_same(forgets: bool) -> None:
    executor = UploadExecutor()
    executor.flickr.script = [lost()]
    executor.flickr.at_end = lambda: setattr(executor.claims, "away", True)
    await executor.run(executor.job())
    assert executor.steps() == [("look", 1.0)]
    executor.claims.away = False
    if forgets:
        executor.claims.entries.clear()
    await executor.run_to_the_end(executor.later())
    assert (len(executor.flickr.sent), executor.photo_id()) == (1, executor.flickr.kept[0].id)


async def test_a_ticket_isn_t_forgotten_though_redis_is_away() -> None:
    executor = ticketed(Target.UPLOAD, {"complete": 1, "photoid": "12"})
    executor.flickr.at_end = lambda: setattr(executor.claims, "away", True)
    await executor.run(executor.job(params=ASYNC))
    executor.claims.away = False
    await executor.run_to_the_end(executor.later())
    assert executor.photo_id() == "12"


async def test_without_rabbitmq_the_success_is_kept_and_told_when_the_message_comes_again() -> None:
    executor = UploadExecutor()
    executor.flickr.at_end = lambda: setattr(executor.messaging, "away", True)
    with pytest.raises(Unavailable):
        await executor.run(executor.job())
    executor.messaging.away = False
    executor.clock.advance(TELLING + 1)
    await executor.run_to_the_end(executor.job())
    assert (len(executor.flickr.sent), executor.flickr.asked, executor.names()) == (1, [], ["job.completed"])


async def test_without_rabbitmq_and_redis_the_photo_is_looked_for_when_the_message_comes_again() -> None:
    executor = UploadExecutor()

    def both_go_away() -> None:
        executor.messaging.away = executor.claims.away = True

    executor.flickr.at_end = both_go_away
    with pytest.raises(Unavailable):
        await executor.run(executor.job())
    executor.messaging.away = executor.claims.away = False
    await executor.run_to_the_end(executor.job())
    assert (len(executor.flickr.sent), executor.photo_id()) == (1, executor.flickr.kept[0].id)


async def test_a_replacement_that_couldn_t_be_told_is_sent_again() -> None:
    executor = UploadExecutor(target=Target.REPLACE)
    executor.flickr.at_end = lambda: setattr(executor.claims, "away", True)
    with pytest.raises(Unavailable):
        await executor.run(executor.job())
    executor.claims.away = False
    executor.flickr.at_end = lambda: None
    await executor.run_to_the_end(executor.job())
    assert (len(executor.flickr.sent), executor.names()) == (2, ["job.completed"])


# -- time, and what is told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_end", "step", "reason"),
    [
        (False, "send", "The upload took too long."),
        (True, "look", "Flickr didn't answer the upload in time."),
    ],
)
async def test_an_upload_that_takes_too_long_is_in_doubt_only_after_its_last_bytes(
    at_end: bool, step: str, reason: str
) -> None:
    executor = UploadExecutor(timeout_seconds=0.01)
    send = executor.flickr.send

    async def never_answers(*args: object, **kwargs: object) -> FlickrReply:
        if at_end:
            await send(*args, **kwargs)  # type: ignore[arg-type]
        await asyncio.Event().wait()
        raise AssertionError

    executor.flickr.send = never_answers  # type: ignore[method-assign]
    await executor.run(executor.job())
    assert executor.steps() == [(step, 1.0)]
    (event,) = executor.events(JobRetrying)
    assert isinstance(event, JobRetrying)
    assert event.reason == reason


async def test_nothing_that_is_told_or_buried_holds_a_secret_or_a_param() -> None:
    executor = UploadExecutor(attempts=1)
    failure = lost()
    failure.__cause__ = ConnectionError(f"{SECRETS[1]} at 10.0.0.1:443")
    sbs = f"oauth_problem=signature_invalid&debug_sbs=POST&x%26oauth_token%3D{SECRETS[2]}%26title%3Dprivate-value"
    executor.flickr.script = [failure]
    executor.flickr.replies = [FlickrReply(401, sbs.encode(), None, 1)] * 2
    await executor.run_to_the_end(executor.job(params={"photo_ref": "a-ref", "title": "private-value"}))
    headers = str([letter.headers for letter in executor.messaging.all("dead")])
    told = headers + executor.failed().to_bytes().decode()
    for private in (*SECRETS, "private-value", "10.0.0.1", "a-ref"):
        assert private not in told
