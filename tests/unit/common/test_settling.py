"""What becomes of a message: the whole decision as a table."""

from typing import Any

import pytest

from flickrhub_common.errors import InvalidRequest, RateLimited, Unavailable, UpstreamFailed
from flickrhub_common.settling import (
    BroughtBackTooOften,
    Bury,
    Done,
    Futile,
    Postpone,
    Undecodable,
    decide,
    own_headers,
)

BUG = ValueError("a bug that says hunter2")
AWAY = Unavailable("redis")


@pytest.mark.parametrize(
    ("error", "headers", "decision"),
    [
        (None, {}, Done()),
        (None, {"x-crashes": 99}, Done()),
        (Undecodable("body: json_invalid"), {}, Bury("unreadable: body: json_invalid", {})),
        (Undecodable("x"), {"x-waits": 3, "a": "b"}, Bury("unreadable: x", {"x-waits": 3, "a": "b"})),
        (Futile("it is gone"), {"x-waits": 3, "a": "b"}, Bury("futile: it is gone", {"x-waits": 3, "a": "b"})),
        (BroughtBackTooOften(), {"a": "b"}, Bury("brought back too often: its consumer ended every time", {"a": "b"})),
        (AWAY, {}, Postpone(1.0, {"x-waits": 1})),
        (AWAY, {"x-waits": 1}, Postpone(2.0, {"x-waits": 2})),
        (AWAY, {"x-waits": 4}, Postpone(16.0, {"x-waits": 5})),
        (AWAY, {"x-waits": 5}, Postpone(16.0, {"x-waits": 6})),
        (AWAY, {"x-waits": 10**9}, Postpone(16.0, {"x-waits": 10**9 + 1})),
        (AWAY, {"x-waits": 2**63 - 1}, Postpone(16.0, {"x-waits": 2**31 - 1})),
        (AWAY, {"x-crashes": 4}, Postpone(1.0, {"x-crashes": 4, "x-waits": 1})),
        (UpstreamFailed(), {}, Postpone(1.0, {"x-waits": 1})),
        (RateLimited(), {}, Postpone(1.0, {"x-waits": 1})),
        (BUG, {}, Postpone(1.0, {"x-crashes": 1})),
        (BUG, {"x-crashes": 1}, Postpone(2.0, {"x-crashes": 2})),
        (BUG, {"x-crashes": 3}, Postpone(8.0, {"x-crashes": 4})),
        (BUG, {"x-crashes": 4}, Bury("its handler crashed 5 times: ValueError", {"x-crashes": 4})),
        (BUG, {"x-crashes": 400}, Bury("its handler crashed 5 times: ValueError", {"x-crashes": 400})),
        (BUG, {"x-waits": 400}, Postpone(1.0, {"x-waits": 400, "x-crashes": 1})),
        (InvalidRequest(), {"x-crashes": 4}, Bury("its handler crashed 5 times: InvalidRequest", {"x-crashes": 4})),
        (BUG, {"x-crashes": "4"}, Postpone(1.0, {"x-crashes": 1})),
        (BUG, {"x-crashes": -4}, Postpone(1.0, {"x-crashes": 1})),
        (BUG, {"x-crashes": None}, Postpone(1.0, {"x-crashes": 1})),
    ],
)
def test_the_decision(error: Exception | None, headers: dict[str, Any], decision: Done | Postpone | Bury) -> None:
    assert decide(error, headers) == decision


def test_the_reason_of_a_crash_doesnt_repeat_what_the_error_says() -> None:
    decision = decide(BUG, {"x-crashes": 4})
    assert isinstance(decision, Bury)
    assert "hunter2" not in decision.reason


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (
            {"traceparent": "00-a-b-01", "number": 5, "flag": True},
            {"traceparent": "00-a-b-01", "number": 5, "flag": True},
        ),
        ({"x-death": [{}], "x-first-death-queue": "q", "x-delivery-count": 2, "x-anything": 1}, {}),
        ({"x-waits": 2, "x-crashes": 3}, {"x-waits": 2, "x-crashes": 3}),
        (
            {"table": {"a": 1}, "list": [1], "bytes": b"\xff", "none": None, "double": 1e300, "array": bytearray(b"a")},
            {},
        ),
        ({"short": "x" * 512, "long": "x" * 513}, {"short": "x" * 512}),
        ({"most": 2**63 - 1, "too much": 2**63}, {"most": 2**63 - 1}),
        ({f"h{n}": n for n in range(100)}, {f"h{n}": n for n in range(32)}),
    ],
)
def test_only_headers_that_can_travel_on_are_kept(headers: dict[str, Any], kept: dict[str, Any]) -> None:
    assert own_headers(headers) == kept


def test_many_headers_of_others_never_push_a_count_out() -> None:
    decision = decide(BUG, {**{f"h{number}": number for number in range(40)}, "x-waits": 3, "x-crashes": 2})
    assert isinstance(decision, Postpone)
    assert (decision.headers["x-waits"], decision.headers["x-crashes"]) == (3, 3)
    assert own_headers(decision.headers) == decision.headers
