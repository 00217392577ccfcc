"""Which message of an upload follows which."""

from collections.abc import Callable

import pytest

from flickrhub_common.contracts import Reservation, Target
from flickrhub_common.retry import Backoff
from flickrhub_executor.usecases.next_step import (
    Next,
    UploadRules,
    after_death,
    after_failed_question,
    after_failure,
    after_loss,
    after_not_found,
    after_pending,
    after_ticket,
    after_untold_success,
    progress_of,
    put_off,
    without_dedup,
)
from tests.unit.executor.fakes import MIDDLE, a_job
from tests.unit.executor.upload_fakes import progressed

RULES = UploadRules(3, Backoff(first=1.0), looks=(1.0, 4.0), timeout_seconds=60.0)
JOB = a_job(
    None,
    target=Target.UPLOAD,
    params={"photo_ref": "r", "title": "A"},
    reservation=Reservation(limit="user", at=1.0),
)
AT = progressed(JOB, sequence=7, step="poll", asked=3, failed=2, ticket="1-2", dedup=False)

FOLLOWING: dict[str, Callable[[], Next | None]] = {
    "after a loss": lambda: after_loss(AT, RULES, asked=None),
    "after an untold success": lambda: after_untold_success(AT),
    "after a failure": lambda: after_failure(AT, RULES, asked=None, chance=MIDDLE),
    "put off": lambda: put_off(AT),
    "without the check": lambda: without_dedup(AT),
    "after a ticket": lambda: after_ticket(AT, "3-4"),
    "after pending": lambda: after_pending(AT),
    "after nothing was found": lambda: after_not_found(AT, RULES),
    "after a failed question": lambda: after_failed_question(AT, RULES, asked=None, chance=MIDDLE),
}


@pytest.mark.parametrize("follow", FOLLOWING.values(), ids=FOLLOWING)
def test_every_message_has_the_next_number_a_turn_of_its_own_and_the_same_job(
    follow: Callable[[], Next | None],
) -> None:
    following = follow()
    assert following is not None
    assert (following.job.sequence, following.job.reservation) == (8, None)
    assert progress_of(following.job).dedup is False
    kept = {"attempt", "reservation", "doubtful", "progress"}
    assert following.job.model_dump(exclude=kept) == AT.model_dump(exclude=kept)
    assert type(following.job).model_validate_json(following.job.to_bytes()) == following.job


def test_the_gateway_s_message_is_the_first_send() -> None:
    progress = progress_of(JOB)
    assert (progress.step, progress.sequence, progress.dedup) == ("send", 1, True)
    assert JOB.sequence == 1


def test_after_a_death_the_same_message_looks_instead_of_sending() -> None:
    taken_over = after_death(JOB)
    assert (progress_of(taken_over).step, taken_over.sequence, taken_over.attempt) == ("look", 1, 1)
    assert taken_over.doubtful
    assert after_death(AT) == AT
    replacement = JOB.model_copy(update={"target": Target.REPLACE})
    assert after_death(replacement) == replacement


def test_a_loss_begins_the_next_attempt_with_a_look_that_waits_as_long_as_flickr_asked() -> None:
    following = after_loss(AT, RULES, asked=None)
    progress = progress_of(following.job)
    assert (following.seconds, following.job.attempt, following.job.doubtful) == (1.0, 2, True)
    assert (progress.step, progress.asked, progress.failed, progress.ticket) == ("look", 0, 0, None)
    assert after_loss(AT, RULES, asked=30.0).seconds == 30.0
    assert after_loss(AT, RULES, asked=1e9).seconds == 3600.0


def test_after_the_last_look_the_photo_is_sent_while_an_attempt_is_left() -> None:
    look = progressed(JOB, step="look", asked=0, failed=1)
    second = after_not_found(look, RULES)
    assert second is not None
    assert (progress_of(second.job).step, progress_of(second.job).asked, second.seconds) == ("look", 1, 4.0)
    assert progress_of(second.job).failed == 0
    for attempt in (1, 2, 3):
        send = after_not_found(second.job.model_copy(update={"attempt": attempt}), RULES)
        assert send is not None
        assert (progress_of(send.job).step, send.job.attempt, send.seconds) == ("send", attempt, 0.0)
    assert after_not_found(second.job.model_copy(update={"attempt": 4}), RULES) is None


def test_each_wait_is_taken_four_times_when_flickr_works_behind_our_backs() -> None:
    look = progressed(JOB.model_copy(update={"params": {"async": "1"}}), step="look")
    waits = []
    following = after_not_found(look, RULES)
    while following is not None and progress_of(following.job).step == "look":
        waits.append(following.seconds)
        following = after_not_found(following.job, RULES)
    assert waits == [1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0]


def test_polls_become_rare_and_end_after_a_day() -> None:
    following: Next | None = after_ticket(JOB, "1-2")
    waits = []
    while following is not None:
        waits.append(following.seconds)
        following = after_pending(following.job)
    assert waits[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert set(waits[10:]) == {300}
    assert 86_400 - 300 < sum(waits) <= 86_400


def test_failed_questions_become_rare_and_end_after_about_an_hour() -> None:
    following: Next | None = Next(progressed(JOB, step="look", asked=1), 0.0)
    waits = []
    while following is not None:
        waits.append(following.seconds)
        assert progress_of(following.job).asked == 1
        following = after_failed_question(following.job, RULES, asked=None, chance=MIDDLE)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, *[300] * 10]


def test_what_is_put_off_waits_longer_each_time_and_counts_anew_in_the_next_attempt() -> None:
    following, waits = Next(JOB, 0.0), []
    for _ in range(9):
        following = put_off(following.job)
        waits.append(following.seconds)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    again = after_failure(following.job, RULES, asked=None, chance=MIDDLE)
    assert (progress_of(again.job).failed, again.job.attempt) == (0, 2)
