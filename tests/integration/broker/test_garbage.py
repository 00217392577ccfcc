"""Garbage in a queue: each piece is dead-lettered with its reason, and the consumer goes on."""

import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from flickrhub_common import broker
from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested
from flickrhub_common.topology import FLICKR_DLQ, GATEWAY_JOB_EVENTS, NOTIFIER_JOB_EVENTS
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_job
from tests.support.waiting import eventually

GOOD = a_job("good")
SECRET = "hunter2-do-not-repeat"


@dataclass(frozen=True)
class Piece:
    """Something that lies in the job queue, and how the reason of its dead letter reads."""

    body: bytes
    reason: str
    properties: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)


def changed(**fields: Any) -> bytes:
    return json.dumps({**GOOD.model_dump(mode="json"), **fields}).encode()


def nested(depth: int) -> bytes:
    return b'{"job_id":"x","params":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


GARBAGE = {
    "broken JSON": Piece(b'{"job_id": ', "unreadable: body: json_invalid"),
    "not an object": Piece(b"[1,2,3]", "unreadable: body: model_"),
    "null": Piece(b"null", "unreadable: body: model_"),
    "empty": Piece(b"", "unreadable: body: json_invalid"),
    "binary": Piece(bytes(range(256)), "unreadable: body: json_invalid"),
    "NUL bytes": Piece(b"\0" * 100, "unreadable: body: json_invalid"),
    "not UTF-8": Piece(b'{"job_id":"\xff\xfe"}', "unreadable: body: json_invalid"),
    "half a surrogate pair": Piece(b'{"job_id":"\\ud800"}', "unreadable: body: json_invalid"),
    "10,000 deep": Piece(nested(10_000), "unreadable: body: json_invalid"),
    "fields missing": Piece(b'{"job_id":"x"}', "unreadable: user_id: missing; target: missing; trace_id: missing"),
    "field of a wrong type": Piece(changed(job_id=7), "unreadable: job_id: string_type"),
    "value out of range": Piece(changed(attempt=0), "unreadable: attempt: greater_than_equal"),
    "a target nobody knows": Piece(changed(target=SECRET), "unreadable: target: enum"),
    "another version": Piece(changed(version=2), "unreadable: version: literal_error"),
    "another name": Piece(b"{}", "unreadable: of a type that nobody reads here", {"type": "job.completed"}),
    "gzip, as its encoding says": Piece(
        gzip.compress(GOOD.to_bytes()),
        "unreadable: body: json_invalid",
        {"content_encoding": "gzip", "content_type": "application/json"},
    ),
    "gzip by its encoding only": Piece(b"no", "unreadable: body: json_invalid", {"content_encoding": "gzip"}),
    "not JSON by its type": Piece(b"<job/>", "unreadable: body: json_invalid", {"content_type": "text/xml"}),
    "a charset that isn't": Piece(b"no", "unreadable: ", {"content_type": "application/json; charset=klingon"}),
    "huge headers": Piece(b"no", "unreadable: ", headers={f"h{n}": "x" * 1000 for n in range(125)}),
    "a header as long as may be": Piece(b"no", "unreadable: ", headers={"h": "x" * 130_950}),
    "many headers": Piece(b"no", "unreadable: ", headers={f"h{n}": n for n in range(8000)}),
    "headers of all types": Piece(
        b"no",
        "unreadable: ",
        headers={
            "none": None,
            "bytes": bytearray(b"\xff\x00"),
            "moment": datetime(2026, 1, 1, tzinfo=UTC),
            "decimal": Decimal("1.25"),
            "float": 1.5,
            "list": [1, "a", None, {"b": [2]}],
            "table": {"a": {"b": {"c": None}}},
            "big": 2**62,
            "traceparent": 17,
            "tracestate": None,
            "baggage": ["a"],
            "x-waits": "many",
            "x-crashes": {"a": 1},
            "correlation_id": 5,
            "content-type": 6,
            "": "",
            "é" * 60: "ü",
        },
    ),
    "properties of all kinds": Piece(
        b"no",
        "unreadable: ",
        {
            "correlation_id": "c" * 255,
            "message_id": "m" * 255,
            "reply_to": "nowhere",
            "type": "t" * 255,
            "app_id": "a" * 255,
            "priority": 255,
            "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "content_type": "c" * 255,
        },
    ),
    "a huge body": Piece(b"x" * 5_000_000, "unreadable: body: json_invalid"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_no_piece_is_accidentally_good(name: str) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        JobRequested.model_validate_json(GARBAGE[name].body)


async def test_every_kind_of_garbage_is_dead_lettered_with_its_reason_and_the_consumer_goes_on(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    await make.consuming(inbox, concurrency=2)
    reasons = {}
    for name, piece in GARBAGE.items():
        await rabbit_admin.publish(piece.body, key=JOBS, headers=piece.headers, **piece.properties)
        (letter,) = await eventually(lambda: rabbit_admin.take(FLICKR_DLQ), within=5, what=f"a dead letter of: {name}")
        assert letter.body == piece.body, name
        reasons[name] = letter.headers["reason"]
        assert letter.headers["queue"] == JOBS, name
    await rabbit_admin.publish(GOOD.to_bytes(), key=JOBS, type="job.requested")
    await inbox.has_finished(1)
    assert inbox.taken == [GOOD]
    assert {name: reason for name, reason in reasons.items() if not reason.startswith(GARBAGE[name].reason)} == {}
    assert all(len(reason) <= 400 and SECRET not in reason for reason in reasons.values())


async def test_hundreds_of_pieces_at_once_dont_hold_up_what_is_good(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    await make.sending()  # which declares the queues
    for _ in range(300):
        await rabbit_admin.publish(b"no", key=JOBS)
    await rabbit_admin.publish(GOOD.to_bytes(), key=JOBS)
    inbox = Inbox()
    await make.consuming(inbox, concurrency=16)
    await inbox.has_finished(1, within=30)
    assert await eventually(lambda: _if(300, rabbit_admin), within=10) == 300


async def _if(count: int, admin: RabbitAdmin) -> int | None:
    depth = await admin.depth(FLICKR_DLQ)
    return depth if depth == count else None


async def test_an_event_that_strays_into_a_job_queue_is_never_taken_for_a_job(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    await make.consuming(inbox)
    await rabbit_admin.publish(a_completion().to_bytes(), key=JOBS, type="job.completed")
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert letter.headers["reason"] == "unreadable: of a type that nobody reads here"
    assert inbox.taken == []


async def test_a_message_of_a_name_that_nobody_reads_here_is_dead(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    reader = make("gateway")
    reader.subscribe(GATEWAY_JOB_EVENTS, (JobCompleted, JobFailed), inbox.take, concurrency=2)
    await reader.start()
    await rabbit_admin.publish(a_completion().to_bytes(), key=GATEWAY_JOB_EVENTS, type="job.exploded")
    await rabbit_admin.publish(a_completion().to_bytes(), key=GATEWAY_JOB_EVENTS)
    dead = f"{GATEWAY_JOB_EVENTS}_dlq"
    letters = await eventually(lambda: _all(2, dead, rabbit_admin), what="two dead letters")
    assert {letter.headers["reason"] for letter in letters} == {"unreadable: of a type that nobody reads here"}
    assert inbox.taken == []


async def _all(count: int, queue: str, admin: RabbitAdmin) -> Any:
    letters = await admin.peek(queue)
    return letters if len(letters) == count else None


async def test_unknown_fields_of_a_newer_version_of_us_are_read_past(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    await make.consuming(inbox)
    body = GOOD.to_bytes().replace(b'"version":1', b'"version":1,"from_the_future":{"a":[1]}')
    await rabbit_admin.publish(body, key=JOBS, type="job.requested")
    await inbox.has_finished(1)
    assert inbox.taken == [GOOD]


async def test_a_message_that_our_own_settling_chokes_on_is_dead_and_not_stuck(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choke(*_: object) -> None:
        raise KeyError("a bug of ours")

    monkeypatch.setattr(broker, "decide", choke)
    inbox = Inbox()
    await make.consuming(inbox, concurrency=1)
    await rabbit_admin.publish(b"no", key=JOBS)
    await rabbit_admin.publish(GOOD.to_bytes(), key=JOBS)
    await inbox.has_finished(1)
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert letter.headers["queue"] == JOBS
    assert "crashed" in letter.headers["reason"]


async def test_what_cant_be_dead_lettered_now_is_kept_until_it_can_and_blocks_nothing(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    await make.consuming(inbox, concurrency=2)
    await rabbit_admin.delete_queue(FLICKR_DLQ)
    await rabbit_admin.publish(b"no", key=JOBS)
    await rabbit_admin.publish(GOOD.to_bytes(), key=JOBS)
    await inbox.has_finished(1)
    await make.sending()  # a service that starts declares everything
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert letter.headers["reason"] == "unreadable: body: json_invalid"


async def test_a_message_that_keeps_killing_its_process_is_dead_by_the_brokers_own_count(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    await (await make.sending()).send_job(a_job())
    for _ in range(25):
        await rabbit_admin.peek(JOBS)  # took it, and went away without a word
        if await rabbit_admin.depth(FLICKR_DLQ):
            break
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert letter.headers["x-first-death-reason"] == "delivery_limit"
    assert await rabbit_admin.depth(NOTIFIER_JOB_EVENTS) == 0


async def test_a_good_message_with_nonsense_in_its_trace_headers_is_handled(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    await make.consuming(inbox)
    nonsense = {"traceparent": 17, "tracestate": None, "baggage": ["a"]}
    await rabbit_admin.publish(GOOD.to_bytes(), key=JOBS, headers=nonsense)
    await rabbit_admin.publish(GOOD.to_bytes(), key=JOBS, headers={"traceparent": "nonsense", "baggage": "=;,"})
    await inbox.has_finished(2)
    assert inbox.taken == [GOOD, GOOD]
