"""What an answer says of its endpoint."""

import pytest

from flickrhub_notifier.models import Answer, Report, Sign
from flickrhub_notifier.usecases.judge_endpoint import endpoint_key, judge_endpoint
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
    assert judge_endpoint(answer, delivery_id="d", now=NOW) == Report("d", sign, asked)


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
