"""What schemathesis is told beyond the document: real ids for valid made-up ones, and what it can't check by itself.

A value is only replaced by one that is as valid, so that a case stays what it was made to be: positive or negative.
"""

import base64
import copy
import json
import re
import uuid
import zlib
from collections import Counter
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.openapi.checks import RejectedPositiveData

from tests.fuzz import unsaid
from tests.fuzz.surroundings import GIF, Surroundings

WEB = re.compile(r"https?://[^\x00- \x7f\\]+", re.IGNORECASE)
BASE64 = re.compile(r"[A-Za-z0-9+/]*=*")
MAX_TEXT = 512
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
    def before_call(_context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
        _make_real(case, world)

    @schemathesis.hook
    def after_call(_context: HookContext, case: Case, response: Response) -> None:
        cases[case.operation.label, str(response.status_code)] += 1
        kinds[case.operation.label, case.meta.generation.mode.value if case.meta else "-"] += 1
        _remember(case, response, world)

    @schemathesis.hook
    def filter_failure(_context: HookContext, failure: Exception, case: Case, response: Response) -> bool:
        if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
            return True
        rules = unsaid.rules_broken(response.json())
        unsaid.refused.update(rules or ())
        return rules is None

    schemathesis.check(reply_has_the_envelope)


def reply_has_the_envelope(_ctx: CheckContext, response: Response, case: Case) -> None:
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


def _make_real(case: Case, world: Surroundings) -> None:
    if isinstance(case.body, dict):
        case.body = copy.deepcopy(case.body)
        _fill_in(case.body, world, positive=_is_positive(case))
    if isinstance(case.query, dict):
        _fill_in(case.query, world, positive=_is_positive(case))
    if case.path == "/api/v1/uploads" and _is_positive(case):
        _make_upload_real(case, world)


def _is_positive(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def _fill_in(fields: dict[str, Any], world: Surroundings, *, positive: bool) -> None:
    """Real ids for any valid ones; addresses, tokens and photos only in positive cases."""
    if _replaceable(fields.get("user_id")) and fields["user_id"] not in world.user_ids:
        fields["user_id"] = world.user_ids[zlib.crc32(fields["user_id"].encode()) % len(world.user_ids)]
    if not positive:
        return
    _fill_in_app(fields, world)
    _fill_in_token(fields, world)
    _fill_in_called(fields, "callback_url", world)
    params = fields.get("params")
    if isinstance(params, dict) and fields.get("target") in {"upload", "replace"}:
        _fill_in_called(params, "photo_url", world)
        if isinstance(params.get("photo_base64"), str):
            params["photo_base64"] = GIF
        if isinstance(params.get("photo_ref"), str) and world.photo_refs:
            params["photo_ref"] = world.photo_refs.pop()


def _fill_in_app(fields: dict[str, Any], world: Surroundings) -> None:
    if _replaceable(fields.get("api_key")) and _replaceable(fields.get("api_secret")):
        fields.update(api_key=world.api_key, api_secret=world.api_secret)


def _fill_in_token(fields: dict[str, Any], world: Surroundings) -> None:
    if "oauth_verifier" not in fields or not world.pending:
        return
    token = fields.get("oauth_token")
    if token not in world.pending and _replaceable(token):
        token = fields["oauth_token"] = next(iter(world.pending))
    if token in world.pending:
        fields["oauth_verifier"], state = world.approve(token)
        if "state" in fields and fields["state"] is not None:
            fields["state"] = state


def _fill_in_called(fields: dict[str, Any], name: str, world: Surroundings) -> None:
    """Never beyond loopback, whatever name was made up."""
    if isinstance(fields.get(name), str):
        fields[name] = f"{world.called_url}/{zlib.crc32(fields[name].encode('utf-8', 'surrogatepass'))}.gif"


def _replaceable(value: Any) -> bool:
    """Whether it is a text such as ids are; one in some stays, chosen by its bytes, so that a seed means the same."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT:
        return False
    return zlib.crc32(value.encode("utf-8", "surrogatepass")) % KEPT_ONE_IN != 0


def _make_upload_real(case: Case, world: Surroundings) -> None:
    """A photo whose owner is named once."""
    in_form = isinstance(case.body, dict) and "user_id" in case.body
    if not in_form and not (case.query or {}).get("user_id"):
        case.query = {**(case.query or {}), "user_id": world.user_ids[0]}
    if isinstance(case.body, bytes) and zlib.crc32(case.body) % KEPT_ONE_IN:
        case.body = base64.b64decode(GIF)
    elif isinstance(case.body, dict) and isinstance(case.body.get("photo"), bytes):
        if zlib.crc32(case.body["photo"]) % KEPT_ONE_IN:
            case.body["photo"] = base64.b64decode(GIF)
        if (case.query or {}).get("user_id") and in_form:
            case.body["user_id"] = case.query["user_id"]


def _remember(case: Case, response: Response, world: Surroundings) -> None:
    if response.status_code >= 300 or case.path in {"/docs", "/openapi.json", "/health"}:
        return
    data = response.json()["data"]
    if "authorize_url" in data:
        world.pending[data["oauth_token"]] = (data["authorize_url"], data["state"])
    elif case.path == "/api/v1/uploads":
        world.photo_refs.append(data["photo_ref"])
    elif "job_id" in data:
        world.jobs[data["job_id"]] = json.loads(response.request.body)["user_id"]
    elif "user_id" in data and data["user_id"] not in world.user_ids:
        world.user_ids.append(data["user_id"])
