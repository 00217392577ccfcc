"""Log lines: JSON with the ids that belong to them, and no secret in any."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from flickrhub_common.logs import configure, logger, scrub
from flickrhub_common.settings import Settings
from tests.support.samples import a_job

SECRET = "hunter2-do-not-repeat"


class Lines:
    """What was written to standard output, line by line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def raw(self) -> str:
        self._text += self._capsys.readouterr().out
        return self._text

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw().splitlines()]

    def last(self) -> dict[str, Any]:
        return self.all()[-1]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Lines(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configured(log_format: str = "json", level: str = "INFO") -> None:
    settings = Settings.model_validate({"log_format": log_format, "log_level": level, "service_env": "test"})
    configure(settings, service="gateway")


def raised(text: str) -> ValueError:
    """An error with a traceback, and with a cause that has one."""
    try:
        try:
            int(text)
        except ValueError as cause:
            raise ValueError(text) from cause
    except ValueError as error:
        return error
    raise AssertionError("a number was given")


def test_a_line_is_json_with_event_level_time_and_service(lines: Lines) -> None:
    configured()
    logger("flickrhub_gateway.x").info("job_accepted", job_id="j-1", count=2)
    line = lines.last()
    assert line["event"] == "job_accepted"
    assert (line["level"], line["service"], line["service_env"]) == ("info", "gateway", "test")
    assert (line["job_id"], line["count"]) == ("j-1", 2)
    assert line["timestamp"].endswith("Z")


def test_a_line_has_the_trace_it_was_written_in(lines: Lines) -> None:
    configured()
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        logger("x").info("inside")
        assert lines.last()["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    logger("x").info("outside")
    assert "trace_id" not in lines.last()


def test_a_line_has_what_is_bound_to_the_request_or_message(lines: Lines) -> None:
    configured()
    structlog.contextvars.bind_contextvars(request_id="r-1", job_id="j-1", user_id="u-1")
    logger("x").info("inside")
    assert [lines.last()[name] for name in ("request_id", "job_id", "user_id")] == ["r-1", "j-1", "u-1"]


def test_what_libraries_log_comes_out_in_the_same_form(lines: Lines) -> None:
    configured()
    structlog.contextvars.bind_contextvars(job_id="j-1")
    logging.getLogger("some.library").warning("lost %s", "it", extra={"attempt": 3})
    line = lines.last()
    assert (line["event"], line["level"], line["job_id"], line["attempt"]) == ("lost it", "warning", "j-1", 3)


def test_an_exception_is_one_line_of_json_with_its_traceback(lines: Lines) -> None:
    configured()
    logger("x").error("it_failed", exc_info=raised("broken\nin two lines"))
    assert len(lines.raw().splitlines()) == 1
    assert "ValueError: broken" in lines.last()["exception"]


@pytest.mark.parametrize(
    "name",
    [
        "api_secret",
        "callback_secret",
        "oauth_token",
        "oauth_token_secret",
        "oauth_verifier",
        "Authorization",
        "password",
        "INTERNAL_API_TOKEN",
        "encryption_keys",
        "sealed_secret",
    ],
)
def test_a_field_with_the_name_of_a_secret_never_shows_its_value(lines: Lines, name: str) -> None:
    configured()
    logger("x").info("event", **{name: SECRET})
    assert SECRET not in lines.raw()
    assert lines.last()[name] == "…"


TEXTS = [
    f"amqp://guest:{SECRET}@rabbit:5672/vhost",
    f"can't reach mongodb://user:{SECRET}@h1,h2/?x=1 now",
    f"redis://:{SECRET}@127.0.0.1:6379/0",
    f"GET /services/rest/?method=m&oauth_token={SECRET}&x=1",
    f"oauth_token={SECRET}&oauth_token_secret={SECRET}",
    f"https://api.flickr.com/?oauth_signature={SECRET}",
    f"api_key={SECRET}",
    f"oauth_verifier%3D{SECRET}%26x",
    json.dumps({"api_secret": SECRET, "oauth_token": SECRET}),
    json.dumps({"api_secret": SECRET}, separators=(",", ":")),
    repr({"api_secret": SECRET}),
    f"Authorization: Bearer {SECRET}",
    repr([(b"authorization", f"Bearer {SECRET}".encode())]),
    f'OAuth oauth_consumer_key="{SECRET}", oauth_signature="{SECRET}"',
    f"oauth_signature=a%2F{SECRET}%3D",
    f"amqp://user:p@{SECRET}@host/",
    f"INTERNAL_API_TOKEN={SECRET}",
    f"callback_secret={SECRET}",
    f"https://bucket.s3.amazonaws.com/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={SECRET}",
    f"https://s3/?X-Amz-Credential={SECRET}%2F20261121%2Fus-east-1&X-Amz-Security-Token=a%2F{SECRET}&x=1",
    json.dumps({"callback_secret": SECRET}),
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_scrubbed_of_credentials(text: str) -> None:
    assert SECRET not in scrub(text)


@pytest.mark.parametrize("text", TEXTS)
def test_no_secret_is_in_a_line_wherever_it_was_put(lines: Lines, text: str) -> None:
    configured()
    log = logger("x")
    log.info(text)
    log.info("field", error=text)
    log.info("nested", details=[text, {"deep": text}], pair=(text,))
    log.info("object", error=ValueError(text))
    logging.getLogger("library").warning("said %s", text)
    logging.getLogger("library").warning("said", extra={"more": text})
    log.error("failed", exc_info=raised(text))
    assert len(lines.all()) == 7
    assert SECRET not in lines.raw()


@pytest.mark.parametrize(
    "text",
    [
        "https://host/path?x=1",
        "user@example.com",
        "time 12:30",
        "50% done",
        "a job's key",
        "method=flickr.photos.search",
    ],
)
def test_text_without_credentials_is_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_a_nested_secret_is_redacted_by_its_name(lines: Lines) -> None:
    configured()
    logger("x").info("event", body={"user": "u", "callback_secret": SECRET, "list": [{"password": SECRET}]})
    assert SECRET not in lines.raw()
    assert lines.last()["body"]["user"] == "u"


def test_whatever_is_logged_is_a_line_and_no_error(lines: Lines) -> None:
    configured()
    logger("x").info("odd", one=object(), two=b"\xff", three={1, 2}, four="\ud800", five=float("nan"), six=a_job())
    assert lines.last()["event"] == "odd"


def test_below_its_level_nothing_is_written(lines: Lines) -> None:
    configured(level="WARNING")
    logger("x").info("quiet")
    logger("x").warning("loud")
    assert [line["event"] for line in lines.all()] == ["loud"]


def test_the_library_that_logs_secrets_at_debug_is_kept_quiet(lines: Lines) -> None:
    configured(level="DEBUG")
    logging.getLogger("oauthlib.oauth1").debug("signing with %s", SECRET)
    logging.getLogger("httpx2").info("GET https://flickr")
    assert lines.raw() == ""


def test_on_request_lines_are_for_people(lines: Lines) -> None:
    configured("console")
    logger("x").info("job_accepted", job_id="j-1")
    assert "job_accepted" in lines.raw()
    assert "job_id=j-1" in lines.raw()
    with pytest.raises(json.JSONDecodeError):
        lines.all()


def test_auto_is_json_where_no_terminal_is(lines: Lines) -> None:
    configured("auto")
    logger("x").info("event")
    assert lines.last()["event"] == "event"


class Hostile:
    """Breaks whoever wants to show it."""

    def __repr__(self) -> str:
        raise RuntimeError(SECRET)


def test_what_can_not_be_shown_costs_its_line_and_nothing_else(lines: Lines) -> None:
    configured()

    logger("test").info("met", what=Hostile())
    logger("test").info("went_on")

    assert [line["event"] for line in lines.all()] == ["line_not_logged", "went_on"]
    assert SECRET not in lines.raw()


def test_a_standard_output_that_nobody_reads_any_more_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as output:
        monkeypatch.setattr("sys.stdout", output)
        configured()

        logger("test").info("met")

        monkeypatch.undo()
        with contextlib.suppress(BrokenPipeError):
            output.close()
