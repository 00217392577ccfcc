"""Whatever bytes, type and headers a message has: it is read, or it is Undecodable, and what is decided can be sent."""

import copy
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode

from flickrhub_common import contracts
from flickrhub_common.consuming import Delivery, decode, trace_of
from flickrhub_common.contracts import Message
from flickrhub_common.errors import InvalidRequest, Unavailable
from flickrhub_common.settling import Bury, Done, Postpone, Undecodable, decide, own_headers
from tests.support.run_env import ROOT

GOLDEN = [json.loads(file.read_text()) for file in sorted((ROOT / "tests" / "data" / "messages").glob("*.json"))]
BY_NAME: dict[str, type[Message]] = {
    kind.name: kind
    for kind in vars(contracts).values()
    if isinstance(kind, type) and issubclass(kind, Message) and "name" in vars(kind)
}
CANARY = "canary-0d9e"
INT64 = (-(2**63), 2**63 - 1)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just(CANARY), inner, max_size=3),
    max_leaves=8,
)
# What the driver can bring: AMQP's field values, and names of at most 255 bytes.
header_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=5,
)
counts = st.integers(*INT64) | st.sampled_from(INT64) | header_values
ours = dict.fromkeys(("x-waits", "x-crashes", "x-delivery-count", "traceparent"), counts)
headers = st.builds(
    lambda own, others: {**others, **own},
    st.fixed_dictionaries({}, optional=ours),
    st.dictionaries(st.text(max_size=60), header_values, max_size=5)
    | st.integers(0, 40).map(lambda count: {f"h{number}": number for number in range(count)}),
)


def _message(body: bytes, kind: str | None = None, found: Mapping[str, Any] | None = None) -> Delivery:
    return cast("Delivery", SimpleNamespace(body=body, type=kind, headers=dict(found or {})))


def _read_or_undecodable(raw: Delivery, by_name: Mapping[str, type[Message]]) -> Message | None:
    refused = None
    try:
        found = decode(raw, by_name)
    except Undecodable as refusal:
        refused = str(refusal)
    if refused is not None:
        assert CANARY not in refused
        assert len(refused) < 1000
        return None
    assert isinstance(found, tuple(by_name.values()))
    return found


@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()), kind=st.none() | st.text())
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_any_bytes_under_any_type_are_a_message_or_undecodable(name: str, body: bytes, kind: str | None) -> None:
    for only in ({name: BY_NAME[name]}, BY_NAME):
        for raw in (_message(body, kind), _message(body, name), _message(body)):
            _read_or_undecodable(raw, only)


@given(data=st.data(), golden=st.sampled_from(GOLDEN), name=st.sampled_from(sorted(BY_NAME)))
def test_a_message_with_anything_in_any_place_is_a_message_or_undecodable(
    data: st.DataObject, golden: dict[str, Any], name: str
) -> None:
    spoiled = copy.deepcopy(golden)
    place: Any = spoiled
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if not (place[key] and isinstance(place[key], dict | list)) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    read = _read_or_undecodable(_message(json.dumps(spoiled).encode(), name), BY_NAME)
    if read is not None:
        json.loads(read.to_bytes())


@given(headers)
def test_a_trace_is_text_whatever_the_headers_hold(found: dict[str, Any]) -> None:
    assert all(isinstance(value, str) for value in trace_of(_message(b"", None, found)).values())


@given(headers, st.sampled_from([None, Undecodable("x"), Unavailable("mongo"), InvalidRequest(), KeyError("x")]))
def test_what_is_decided_for_any_headers_can_be_sent(found: dict[str, Any], error: Exception | None) -> None:
    decision = decide(error, found)
    if isinstance(decision, Done):
        assert error is None
        return
    if isinstance(decision, Postpone):
        assert 1 <= decision.seconds <= 16
    assert isinstance(decision, Postpone | Bury)
    assert len(encode.field_table(decision.headers)) < 100_000
    assert own_headers(decision.headers) == decision.headers


@given(headers)
def test_own_headers_are_settled_once(found: dict[str, Any]) -> None:
    kept = own_headers(found)
    assert own_headers(kept) == kept
    assert kept.items() <= found.items()
