"""What an answer says of its endpoint, and how long a delivery waits for one without room: tables and bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.topology import delay_units
from flickrhub_notifier.models import Answer, NoRoom, Report, Sign
from flickrhub_notifier.usecases.judge_endpoint import coarse, decide_wait, endpoint_key, judge_endpoint
from tests.unit.notifier.behaviour_of_deliveries import NOW

WELL, STRAINED, NONE = Sign.WELL, Sign.STRAINED, Sign.NONE

TABLE: list[tuple[Answer, Sign, float]] = [
    (Answer(200), WELL, 0),
    (Answer(302), WELL, 0),
    (Answer(404), WELL, 0),
    (Answer(410), WELL, 0),
    (Answer(500), WELL, 0),
    (Answer(error="tls_error"), WELL, 0),
    (Answer(error="protocol_error"), WELL, 0),
    (Answer(429), STRAINED, 0),
    (Answer(502), STRAINED, 0),
    (Answer(503), STRAINED, 0),
    (Answer(504), STRAINED, 0),
    (Answer(error="timeout"), STRAINED, 0),
    (Answer(200, "too_slow"), STRAINED, 0),
    (Answer(error="dns_error"), STRAINED, 0),
    (Answer(error="connection_refused"), STRAINED, 0),
    (Answer(error="connection_failed"), STRAINED, 0),
    (Answer(200, "connection_reset"), STRAINED, 0),
    (Answer(429, retry_after="30"), STRAINED, 30),
    (Answer(503, retry_after="Thu, 01 Jan 2026 12:01:30 GMT"), STRAINED, 90),
    (Answer(503, retry_after="99999"), STRAINED, 3600),
    (Answer(503, retry_after="soon"), STRAINED, 0),
    (Answer(502, retry_after="30"), STRAINED, 0),
    (Answer(200, retry_after="30"), WELL, 0),
    (Answer(error="refused_address"), NONE, 0),
    (Answer(error="invalid_url"), NONE, 0),
    (Answer(error="secret_unreadable"), NONE, 0),
    (Answer(error="secret_unusable"), NONE, 0),
    (Answer(error="internal_error"), NONE, 0),
]


@pytest.mark.parametrize(("answer", "sign", "asked"), TABLE, ids=[repr(row[0]) for row in TABLE])
def test_what_an_answer_says_of_its_endpoint(answer: Answer, sign: Sign, asked: float) -> None:
    assert judge_endpoint(answer, delivery_id="d", seconds=1.5, now=NOW) == Report("d", sign, 1.5, asked)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x?k=1", "https://a.example/y", True),
        ("https://a.example/", "https://A.example.:443/", True),
        ("http://a.example", "http://u:p@a.example:80", True),
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://b.example/", False),
        ("https://a.example/", "https://a.example:8443/", False),
    ],
)
def test_an_endpoint_is_an_origin(one: str, other: str, same: bool) -> None:
    assert (endpoint_key("u", one) == endpoint_key("u", other)) is same


def test_an_endpoint_is_one_users_and_its_key_tells_nothing() -> None:
    assert endpoint_key("u", "https://a.example") != endpoint_key("v", "https://a.example")
    assert "example" not in endpoint_key("u", "https://a.example")
    assert endpoint_key("u", "https://[::1/") == endpoint_key("u", "http://a.example:99999/")


HALF = 0.5


@pytest.mark.parametrize(
    ("room", "waits", "chance", "seconds"),
    [
        (NoRoom(0, 0.03), 0, HALF, 0.25),
        (NoRoom(0, 0.03), 1, HALF, 0.5),
        (NoRoom(0, 0.03), 5, HALF, 8),
        (NoRoom(0, 0.03), 30, HALF, 304),
        (NoRoom(0, 20), 0, HALF, 20),
        (NoRoom(0, 20), 9, HALF, 128),
        (NoRoom(5, 5.2), 0, HALF, 5.25),
        (NoRoom(290, 300), 0, HALF, 304),
        (NoRoom(0, 301), 0, 0.0, 0.25),
        (NoRoom(0, 301), 0, HALF, 152),
        (NoRoom(0, 301), 1, 0.0, 240),
        (NoRoom(0, 301), 9, HALF, 304),
        (NoRoom(100, 500), 1, HALF, 304),
        (NoRoom(100, 500), 0, 0.1, 136),
        (NoRoom(3600, 3601), 3, HALF, 3712),
        (NoRoom(3600, 4000), 3, HALF, 3840),
    ],
)
def test_how_long_a_delivery_waits(room: NoRoom, waits: int, chance: float, seconds: float) -> None:
    assert decide_wait(room, waits=waits, chance=chance) == seconds


chances = st.floats(0, 1, exclude_max=True)


@given(st.floats(0, 3600), st.floats(0, 20_000), st.integers(0, 1000), chances)
def test_nobody_looks_while_nobody_is_let_in_and_nobody_waits_much_longer(
    shut_for: float, line: float, waits: int, chance: float
) -> None:
    seconds = decide_wait(NoRoom(shut_for, shut_for + line), waits=waits, chance=chance)
    assert shut_for <= seconds <= (shut_for + 360) * 1.07


@given(st.floats(0, 300), chances, chances)
def test_each_wait_is_longer_than_the_one_before_up_to_five_minutes(line: float, one: float, other: float) -> None:
    waits = [decide_wait(NoRoom(0, 0), waits=n, chance=one if n % 2 else other) for n in range(11)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(waits))
    assert all(later > earlier for earlier, later in zip(waits, waits[2:], strict=False))
    assert decide_wait(NoRoom(0, line), waits=20, chance=one) >= 240


def test_ten_thousand_that_wait_for_a_hanging_endpoint_look_some_forty_times_a_second_from_the_start() -> None:
    crowd = [decide_wait(NoRoom(0, 2000), waits=0, chance=n / 10_000) for n in range(10_000)]
    second = [one + decide_wait(NoRoom(0, 2000), waits=1, chance=n * 7 % 100 / 100) for n, one in enumerate(crowd)]
    for looks in (crowd, second):
        for begin in range(0, 600, 10):
            assert sum(begin <= at < begin + 10 for at in looks) / 10 < 60


@given(st.floats(0, 4000))
def test_a_coarse_wait_is_hardly_longer_and_makes_few_hops(seconds: float) -> None:
    rounded = coarse(seconds)
    assert seconds <= rounded <= max(0.25, seconds * 1.0625 + 0.25)
    assert delay_units(rounded).bit_count() <= 5
