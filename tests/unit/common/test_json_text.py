"""JSON from outside: what is refused, and what goes on unchanged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.errors import InvalidRequest
from flickrhub_common.json_text import MAX_DEPTH, NotJson, compact, dump, parse_request


def nested(depth: int, *, opening: str = "[", closing: str = "]") -> bytes:
    return b'{"a":' + (opening * depth + closing * depth).encode() + b"}"


@pytest.mark.parametrize(
    ("body", "phrase"),
    [
        (b"", "The body isn't valid JSON."),
        (b'{"a":', "The body isn't valid JSON."),
        (b"{'a':1}", "The body isn't valid JSON."),
        (b'{"a":1}{"b":2}', "The body isn't valid JSON."),
        (b'{"a":1,}', "The body isn't valid JSON."),
        (b'{"a":01}', "The body isn't valid JSON."),
        (b'{"a":"\x00"}', "The body isn't valid JSON."),
        (b'{"a":"\xff"}', "The body isn't valid JSON."),
        (b"\x00\x01\x02\x03", "The body isn't valid JSON."),
        (b'\xef\xbb\xbf{"a":', "The body isn't valid JSON."),
        (b"[]", "The body must be a JSON object."),
        (b'"a"', "The body must be a JSON object."),
        (b"1", "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b'{"a":NaN}', "The body can't be taken: NaN isn't JSON."),
        (b'{"a":Infinity}', "The body can't be taken: Infinity isn't JSON."),
        (b'{"a":[-Infinity]}', "The body can't be taken: -Infinity isn't JSON."),
        (b'{"a":1e999}', "The body can't be taken: a number is too large."),
        (b'{"a":-1e999}', "The body can't be taken: a number is too large."),
        (b'{"a":"x\\u0000y"}', "The body holds a NUL character."),
        (b'{"\\u0000":1}', "The body holds a NUL character."),
        (b'{"a":{"b":[{"c\\u0000":1}]}}', "The body holds a NUL character."),
        (b'{"a":"\\ud800"}', "The body holds half of a surrogate pair."),
        (b'{"\\udfff":1}', "The body holds half of a surrogate pair."),
        (b'{"a":"\\udc00\\ud800"}', "The body holds half of a surrogate pair."),
        (b'{"a":9223372036854775808}', "The body holds an integer beyond 64 bits."),
        (b'{"a":[-9223372036854775809]}', "The body holds an integer beyond 64 bits."),
        (b'{"a":1,"a":2}', "The body can't be taken: a name comes twice in one object."),
        (b'{"a":[{"b":{},"b":{}}]}', "The body can't be taken: a name comes twice in one object."),
        (b'{"a":1,"\\u0061":1}', "The body can't be taken: a name comes twice in one object."),
        ('{"a":1}'.encode("utf-16"), "The body isn't valid JSON."),
        ('{"a":1}'.encode("utf-16-le"), "The body isn't valid JSON."),
        ('{"a":1}'.encode("utf-32"), "The body isn't valid JSON."),
        ('{"a":"ü"}'.encode("latin-1"), "The body isn't valid JSON."),
        (b'{"a":' + b"9" * 1_000_000 + b"}", "The body isn't valid JSON."),
        (b'{"a":1e' + b"9" * 1_000_000 + b"}", "The body can't be taken: a number is too large."),
        (b'{"a":' + b"9" * 5000 + b"}", "The body isn't valid JSON."),
        (nested(MAX_DEPTH), "The body is nested too deeply."),
        (nested(10_000), "The body is nested too deeply."),
        (nested(100_000), "The body is nested too deeply."),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "The body is nested too deeply."),
        (b"[" * 10_000, "The body "),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_a_bad_body_is_refused_with_a_fixed_sentence(body: bytes, phrase: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(body)
    assert caught.value.message.startswith(phrase)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' \n{"a" : 1}\t', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":9223372036854775807}', {"a": 2**63 - 1}),
        (b'{"a":-9223372036854775808}', {"a": -(2**63)}),
        (b'{"a":1.5e300}', {"a": 1.5e300}),
        (b'{"a":true,"b":null}', {"a": True, "b": None}),
        ('{"a":"ü€😀"}'.encode(), {"a": "ü€😀"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
    ],
)
def test_a_good_body_is_read_as_it_is(body: bytes, value: dict[str, Any]) -> None:
    assert parse_request(body) == value


def test_depth_is_counted_to_the_last_level_that_is_allowed() -> None:
    assert parse_request(nested(MAX_DEPTH - 2))
    with pytest.raises(InvalidRequest):
        parse_request(nested(MAX_DEPTH))


def test_a_wide_body_is_taken() -> None:
    assert len(parse_request(json.dumps({"a": list(range(100_000))}).encode())["a"]) == 100_000


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_but_a_refusal(body: bytes) -> None:
    try:
        value = parse_request(body)
    except InvalidRequest:
        return
    assert isinstance(value, dict)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc"), _VALUES, max_size=3))
def test_what_was_taken_goes_out_as_it_came_in(value: dict[str, Any]) -> None:
    assert json.loads(dump(parse_request(json.dumps(value).encode()))) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{ "b": 1,\n "a": [1, 2.50] }', '{"b":1,"a":[1,2.5]}'),
        (b'{"stat":"ok"}', '{"stat":"ok"}'),
        ('"\\u00fc\\u20ac\\ud83d\\ude00"', '"ü€😀"'),
        ('{"a":"\\ud800x"}', '{"a":"\ufffdx"}'),
        ('"a/b\\/c"', '"a/b/c"'),
        ("12345678901234567890123", "12345678901234567890123"),
        ("[]", "[]"),
        ('"\\u0000"', '"\\u0000"'),
    ],
)
def test_foreign_json_is_made_compact_and_keeps_its_values(text: str | bytes, expected: str) -> None:
    assert compact(text) == expected


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "not valid JSON"),
        ("<html>", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        ('jsonFlickrApi({"stat":"ok"})', "not valid JSON"),
        ("NaN", "NaN isn't JSON"),
        ('{"a":1e400}', "a number is too large"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_said_in_a_phrase_without_the_text(text: str | bytes, phrase: str) -> None:
    with pytest.raises(NotJson, match=f"^{phrase}$"):
        compact(text)


@given(st.text())
def test_compact_text_can_always_be_encoded(text: str) -> None:
    assert json.loads(compact(json.dumps(text)).encode("utf-8")) is not None
