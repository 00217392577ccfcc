"""What an operator gets to see, and what not."""

import json
from typing import Any

import pytest

from flickrhub_common.contracts import Callback, Failure, JobFailed, Target
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.showing import as_json, block, content, line, origin, row
from tests.unit.dlq.letters import JOB_ID, NOW, TRACE_ID, a_due, a_job, an_end, unhandled

URL = "https://user:pa55word@client.example:8443/hooks/k3y?token=t0ken#frag"
SECRETS = ("pa55word", "k3y", "t0ken", "frag", "v1.k1.c2VhbGVk", "in-the-meta")


def everything(letter: Letter, *, params: bool) -> str:
    parts = [line(letter, twin_of=None), block(letter, twin_of=None, params=params)]
    return "\n".join([*parts, as_json({**row(letter, twin_of=None), **content(letter, params=params)})])


def with_secrets() -> list[Letter]:
    callback, meta = Callback(url=URL, sealed_secret="v1.k1.c2VhbGVk"), {"a": "in-the-meta"}
    failed = JobFailed(
        job_id=JOB_ID,
        user_id="user-1",
        target=Target.REST,
        trace_id=TRACE_ID,
        attempts_made=3,
        max_attempts=3,
        at=NOW,
        failure=Failure(message="No.", code="FLICKR_1"),
        callback=callback,
        meta=meta,
    )
    job = a_job(callback=callback, meta=meta, params={"photo_url": URL, "title": "private-value"})
    crashed = "its handler crashed 5 times: KeyError"
    return [
        an_end(job),
        unhandled(failed.to_bytes(), reason=crashed, queue="notifier_job_events", type_="job.failed"),
        unhandled(failed.to_bytes() + b"}", reason="unreadable: body", queue="flickr_rest", type_="job.failed"),
    ]


@pytest.mark.parametrize("params", [False, True])
def test_no_secret_is_shown(params: bool) -> None:
    for letter in with_secrets():
        shown = everything(letter, params=params)
        assert [secret for secret in SECRETS if secret in shown] == []
        assert [secret for secret in SECRETS if secret in repr(letter)] == []


def test_values_of_params_are_shown_only_when_asked_for() -> None:
    (letter, *_) = with_secrets()
    assert "private-value" not in everything(letter, params=False)
    assert "private-value" in everything(letter, params=True)
    assert "https://client.example:8443" in everything(letter, params=True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "https://client.example:8443"),
        ("http://[::1]:99999/", "unreadable"),
        ("http://[", "unreadable"),
        ("no url", "://"),
    ],
)
def test_of_a_url_its_origin_is_shown(url: str, shown: str) -> None:
    assert origin(url) == shown


def test_a_row_tells_what_became_of_it() -> None:
    letter = an_end(a_job(replay=2), replays=2)
    expected: dict[str, Any] = {
        "job_id": JOB_ID,
        "code": "FLICKR_105",
        "attempts": 3,
        "replays": 2,
        "trace_id": TRACE_ID,
        "queue": "flickr_rest",
        "buried_at": NOW.isoformat(),
        "readable": True,
        "twin_of": 7,
    }
    assert expected.items() <= row(letter, twin_of=7).items()
    assert "(the same as 7)" in line(letter, twin_of=7)


HOSTILE = "\x1b\n\r\x00\u202e\x9b"


@pytest.mark.parametrize("what", ["reason", "code", "job_id", "queue", "trace_id"])
def test_nothing_in_a_letter_commands_the_terminal(what: str) -> None:
    told: dict[str, Any] = {what: f"a{HOSTILE}b"}
    letter = an_end(a_due(), **told)
    shown = everything(letter, params=True)
    assert [each for each in HOSTILE if each in shown.replace("\n", "")] == []
    assert line(letter, twin_of=None).count("\n") == 0


@pytest.mark.parametrize(
    "letter",
    [
        Letter(1, "flickr_dlq", None, b""),
        Letter(1, "flickr_dlq", "job.requested", b"[" * 100_000),
        Letter(1, "flickr_dlq", "x" * 300, b"\x00\xff", {"reason": 5, "attempts": "many", "replays": -1}),
        Letter(1, "flickr_dlq", "callback.due", b"{}", {"x-death": [{"time": 5, "reason": None}], "job_id": b"\xff"}),
    ],
    ids=["nothing", "deep", "odd headers", "odd deaths"],
)
def test_any_bytes_and_headers_can_be_shown(letter: Letter) -> None:
    assert "sha256" in everything(letter, params=True)
    assert json.loads(as_json(row(letter, twin_of=None)))["readable"] is False
