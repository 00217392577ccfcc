"""What schemathesis is told beyond the document: real ids for valid made-up ones, and what it can't check by itself.

A value is only replaced by one that is as valid, so that a case stays what it was made to be: positive or negative.
"""

import base64
import copy
import json
import uuid
import zlib
from collections import Counter
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.transport.serialization import Binary

from tests.fuzz import unsaid
from tests.fuzz.surroundings import GIF, Surroundings

AnyCase = Case[Any]
UPLOADS = "/api/v1/uploads"
MAX_TEXT = 512
WALKS_LEFT = 5
NOBODY = "http://127.0.0.1:9"
KEPT_ONE_IN = 8
"""Of so many made-up ids one goes out as it is: the gateway must bear strangers, too."""

cases: Counter[tuple[str, str]] = Counter()
"""How many replies of which status each operation gave."""
kinds: Counter[tuple[str, str]] = Counter()
"""How many cases of an operation were positive, negative, or had no mode."""


def register(world: Surroundings) -> None:
    """Make the hooks and checks known to schemathesis, for this process."""

    @schemathesis.hook
    def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
        for methods in raw_schema["paths"].values():
            for call in methods.values():
                _close(call["responses"])
        _close(raw_schema["components"])

    @schemathesis.hook
    def before_call(_context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
        _make_real(case, world)

    @schemathesis.hook
    def after_call(_context: HookContext, case: AnyCase, response: Response) -> None:
        cases[case.operation.label, str(response.status_code)] += 1
        kinds[case.operation.label, case.meta.generation.mode.value if case.meta else "-"] += 1
        _remember(case, response, world)

    @schemathesis.hook
    def filter_failure(_context: HookContext, failure: Exception, case: AnyCase, response: Response) -> bool:
        return _is_a_failure(failure, case, response)

    schemathesis.check(reply_has_the_envelope)


def reply_has_the_envelope(_ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """Also of replies to requests that no document describes: unknown methods, strange content types."""
    given = response.headers.get("x-request-id", [""])[0]
    assert str(uuid.UUID(given)) == given, "X-Request-ID is no UUID"
    if response.status_code == 405:
        assert response.headers.get("allow"), "405 without Allow"
    if response.request.method == "HEAD" or (case.path in {"/docs", "/health"} and response.status_code == 200):
        return
    body = json.loads(response.content)
    assert body["request_id"] == given, "the body's request_id isn't the header's"
    assert (body["data"] is None) == (response.status_code >= 400), "data and status don't agree"
    assert (body["error"] is None) == (response.status_code < 400), "error and status don't agree"


def _is_a_failure(failure: Exception, case: AnyCase, response: Response) -> bool:
    if isinstance(failure, AcceptedNegativeData):
        return not _was_never_sent(case)
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    rules = unsaid.rules_broken(response.json())
    unsaid.refused.update(rules or ())
    return rules is None


def _was_never_sent(case: AnyCase) -> bool:
    """Whether what is wrong is a list or object in a form's field: a form can't say that, so other fields are sent."""
    body: Any = case.body
    return case.path == UPLOADS and isinstance(body, dict) and isinstance(body.get("user_id"), list | dict | None)


def _close(value: Any) -> None:
    """Allow in every reply only the fields the document names: it says what there is, so whatever else is news."""
    if isinstance(value, list):
        for item in value:
            _close(item)
    elif isinstance(value, dict):
        if value.get("type") == "object" and "properties" in value:
            value.setdefault("additionalProperties", False)
        for name, item in value.items():
            if name not in {"examples", "example"}:
                _close(item)


def _make_real(case: AnyCase, world: Surroundings) -> None:
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    body: Any = case.body
    if isinstance(body, dict):
        case.body = copy.deepcopy(body)
        _fill_in(case.body, world, positive=positive)
    # What a redirect brings comes first, and leaves some walks for the call with a body.
    _fill_in(case.query, world, positive=positive, tokens_left=WALKS_LEFT)
    if case.path == UPLOADS:
        if positive:
            _make_upload_real(case, world)
        # schemathesis would judge a changed case anew, and can't judge bytes: it would call each of these negative.
        case._record_starting_state()


def _fill_in(fields: dict[str, Any], world: Surroundings, *, positive: bool, tokens_left: int = 0) -> None:
    """Real ids for any valid ones; addresses, tokens and photos only in positive cases."""
    if _replaceable(fields.get("user_id")) and fields["user_id"] not in world.user_ids:
        fields["user_id"] = world.user_ids[zlib.crc32(fields["user_id"].encode()) % len(world.user_ids)]
    if not positive:
        return
    _fill_in_app(fields, world)
    if len(world.pending) > tokens_left:
        _fill_in_token(fields, world)
    if isinstance(fields.get("callback_url"), str):
        fields["callback_url"] = world.called_url and _called(fields["callback_url"], world.called_url)
    if isinstance(fields.get("params"), dict) and fields.get("target") in {"upload", "replace"}:
        _fill_in_photo(fields["params"], world)


def _fill_in_photo(params: dict[str, Any], world: Surroundings) -> None:
    if isinstance(params.get("photo_url"), str):
        params["photo_url"] = _called(params["photo_url"], world.called_url or NOBODY)
    if isinstance(params.get("photo_base64"), str):
        params["photo_base64"] = GIF
    if isinstance(params.get("photo_ref"), str) and world.photo_refs:
        params["photo_ref"] = world.photo_refs.pop()


def _fill_in_app(fields: dict[str, Any], world: Surroundings) -> None:
    if _replaceable(fields.get("api_key")) and _replaceable(fields.get("api_secret")):
        fields.update(api_key=world.api_key, api_secret=world.api_secret)


def _fill_in_token(fields: dict[str, Any], world: Surroundings) -> None:
    if "oauth_verifier" not in fields:
        return
    token = fields.get("oauth_token")
    if token not in world.pending and _replaceable(token):
        token = fields["oauth_token"] = next(iter(world.pending))
    if token in world.pending:
        fields["oauth_verifier"], state = world.approve(token)
        if "state" in fields and fields["state"] is not None:
            fields["state"] = state


def _called(made_up: str, server: str) -> str:
    """An address on loopback instead: the hub mustn't call whatever name was made up."""
    return f"{server}/{zlib.crc32(made_up.encode('utf-8', 'surrogatepass'))}.gif"


def _replaceable(value: Any) -> bool:
    """Whether it is a text such as ids are; one in some stays, chosen by its bytes, so that a seed means the same."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT:
        return False
    return zlib.crc32(value.encode("utf-8", "surrogatepass")) % KEPT_ONE_IN != 0


def _make_upload_real(case: AnyCase, world: Surroundings) -> None:
    """A photo, and its owner: named in the URL, and if also in the form, then there too."""
    photo = Binary(base64.b64decode(GIF))
    form: Any = case.body
    case.query.setdefault("user_id", world.user_ids[0])
    if isinstance(form, Binary):
        if zlib.crc32(form.data) % KEPT_ONE_IN:
            case.body = photo
    elif isinstance(form, dict):
        if isinstance(form.get("photo"), Binary) and zlib.crc32(form["photo"].data) % KEPT_ONE_IN:
            form["photo"] = photo
        if "user_id" in form:
            form["user_id"] = case.query["user_id"]


def _remember(case: AnyCase, response: Response, world: Surroundings) -> None:
    body: Any = case.body
    if response.status_code >= 300 or case.path in {"/docs", "/health"}:
        return
    data = response.json()["data"]
    if "authorize_url" in data:
        world.pending[data["oauth_token"]] = (data["authorize_url"], data["state"])
    elif case.path == UPLOADS:
        world.photo_refs.append(data["photo_ref"])
    elif "job_id" in data:
        world.jobs[data["job_id"]] = body["user_id"]
    elif "user_id" in data and data["user_id"] not in world.user_ids:
        world.user_ids.append(data["user_id"])
