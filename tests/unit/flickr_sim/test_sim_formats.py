"""One internal form, written as XML and as JSON."""

from typing import Any
from xml.etree import ElementTree

import pytest

from flickr_sim.errors import ApiError
from flickr_sim.formats import failure, success

JSON = {"format": "json", "nojsoncallback": "1"}
HEAD = '<?xml version="1.0" encoding="utf-8" ?>\n'


def test_a_success_in_xml_has_attributes_children_and_text() -> None:
    payload = {"photo": {"id": "1", "farm": 66, "alias": None, "ok": True, "title": {"_content": "A & <b>"}}}
    answer = success({}, payload)
    assert answer.content_type == "text/xml; charset=utf-8"
    assert answer.body.decode() == (
        f'{HEAD}<rsp stat="ok">\n'
        '<photo id="1" farm="66" alias="" ok="1">\n'
        "\t<title>A &amp; &lt;b&gt;</title>\n"
        "</photo>\n"
        "</rsp>\n"
    )


def test_lists_become_repeated_elements_and_empty_ones_nothing() -> None:
    payload = {"tags": {"tag": [{"id": "1", "_content": "a"}, {"id": "2", "_content": ""}], "none": []}}
    body = success({}, payload).body.decode()
    assert body == f'{HEAD}<rsp stat="ok">\n<tags>\n\t<tag id="1">a</tag>\n\t<tag id="2" />\n</tags>\n</rsp>\n'


def test_an_empty_success_is_flickrs_two_lines() -> None:
    assert success({}, {}).body.decode() == f'{HEAD}<rsp stat="ok">\n</rsp>\n'
    assert success(JSON, {}).body == b'{"stat":"ok"}'


def test_json_ends_with_stat_and_keeps_the_order() -> None:
    answer = success(JSON, {"photos": {"page": 1, "photo": []}})
    assert answer.content_type == "application/json"
    assert answer.body == b'{"photos":{"page":1,"photo":[]},"stat":"ok"}'


@pytest.mark.parametrize(
    ("asked", "name"),
    [("", "jsonFlickrApi"), ("show", "show"), ("a.b[0]", "a.b[0]"), ("alert(1)//", "jsonFlickrApi")],
)
def test_json_without_nojsoncallback_is_wrapped(asked: str, name: str) -> None:
    answer = success({"format": "json", "jsoncallback": asked}, {})
    assert answer.body.decode() == f'{name}({{"stat":"ok"}})'


def test_an_error_in_xml_is_as_recorded() -> None:
    answer = failure({}, ApiError(100, "Invalid API Key (Key has invalid format)"))
    assert answer.status == 200
    assert answer.body.decode() == (
        f'{HEAD}<rsp stat="fail">\n\t<err code="100" msg="Invalid API Key (Key has invalid format)" />\n</rsp>\n'
    )


def test_an_error_in_json_says_message_and_travels_as_text() -> None:
    answer = failure(JSON, ApiError(112, 'Method "x" not found'))
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.body.decode() == '{"stat":"fail","code":112,"message":"Method \\"x\\" not found"}'


@pytest.mark.parametrize("text", ["\x00", "\x1f", "\ufffe", "\ud800", "a\x0bb", 'quote " and \r\n\t', "雪"])
def test_any_text_makes_well_formed_xml(text: str) -> None:
    payload: dict[str, Any] = {"echo": {"name": text, "value": {"_content": text}}, "not a name": {"_content": text}}
    parsed = ElementTree.fromstring(success({}, payload).body)  # noqa: S314 - our own output
    assert [child.tag for child in parsed] == ["echo"]
    error = ElementTree.fromstring(failure({}, ApiError(1, text)).body)  # noqa: S314
    assert error.find("err") is not None


def test_attributes_keep_line_ends_and_quotes() -> None:
    parsed = ElementTree.fromstring(success({}, {"x": {"name": 'a\n"b"\t<'}}).body)  # noqa: S314
    assert parsed[0].get("name") == 'a\n"b"\t<'
