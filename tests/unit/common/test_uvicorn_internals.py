"""What our protocol relies on inside uvicorn: a new version that changes it has to fail here, not in use."""

import inspect

import httptools
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from flickrhub_common.http_protocol import EnvelopedProtocol

CALLED = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "on_message_begin": [],
    "on_url": ["url"],
    "on_header": ["name", "value"],
    "on_headers_complete": [],
    "on_body": ["body"],
    "on_message_complete": [],
    "on_response_complete": [],
    "shutdown": [],
    "_start_asgi_task": ["cycle", "app"],
}


@pytest.mark.parametrize("name", CALLED)
def test_what_we_extend_is_there_and_takes_what_it_took(name: str) -> None:
    for kind in (HttpToolsProtocol, EnvelopedProtocol):
        assert list(inspect.signature(getattr(kind, name)).parameters)[1:] == CALLED[name]


@pytest.mark.parametrize(
    ("function", "phrases"),
    [
        (
            HttpToolsProtocol.__init__,
            ["self.pipeline:", "self.cycle:", "self.flow:", "self.connections =", "self.loop ="],
        ),
        (HttpToolsProtocol.data_received, ["self._unset_keepalive_if_required()", "self.parser.feed_data(data)"]),
        (HttpToolsProtocol.on_headers_complete, ["self.cycle = RequestResponseCycle(", "self.pipeline.appendleft("]),
        (HttpToolsProtocol.on_response_complete, ["if self.transport.is_closing():\n            return"]),
        (
            RequestResponseCycle.__init__,
            ["self.disconnected = False", "self.response_started = False", "self.response_complete = False"],
        ),
        (HttpToolsProtocol.on_headers_complete, ["self._start_asgi_task(self.cycle, app)"]),
        (
            RequestResponseCycle.receive,
            ["self.message_event.wait()", "if self.disconnected or self.response_complete:"],
        ),
        (RequestResponseCycle.send, ["if self.disconnected:\n            return", "self.transport.write("]),
    ],
    ids=lambda value: value.__qualname__ if inspect.isfunction(value) else "",
)
def test_what_we_reach_into_is_still_as_it_was(function: object, phrases: list[str]) -> None:
    source = inspect.getsource(function)  # type: ignore[arg-type]
    assert [phrase for phrase in phrases if phrase not in source] == []


def test_what_the_callbacks_raise_ends_the_parsing_as_an_error_of_the_parser() -> None:
    class Refuses:
        def on_url(self, url: bytes) -> None:
            raise ValueError

    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(Refuses()).feed_data(b"GET / HTTP/1.1\r\n\r\n")
