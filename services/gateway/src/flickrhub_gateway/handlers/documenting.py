"""How the OpenAPI document is put together: what calls have in common, and the nulls that FastAPI would leave out."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from flickrhub_common import errors
from flickrhub_common.errors import HubError
from flickrhub_gateway.handlers import replies

Documented = dict[str, Any]

REQUEST_ID = "5f0c2a52-8f0e-4c63-9b0a-0f6a2f1c7d11"
USER_ID = "09b4e414-4f70-4226-9ee8-f9e815fc2539"
JOB_ID = "e6b6634c-e07c-43f0-88b3-9516590aad77"
PHOTO_REF = "7d5e1f0a-52c3-4f0e-9a52-6a2b8f6f5b0c"
TRACE_ID = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
AUTH_AWAY = errors.Unavailable("auth")
ANY_BODY = (errors.PayloadTooLarge(), errors.UnsupportedMediaType())
ANY_CALL = (
    errors.RequestTimedOut(),
    errors.PayloadTooLarge(),
    errors.RateLimited(retry_after=1),
    errors.HeadTooLarge(),
    HubError(),
    errors.Unavailable("service"),
)
"""What any call may answer: a GET with a body over the limit is refused, too, and every process stops some day."""

RETRY_AFTER = {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 0}}
_ALLOW = {"description": "The methods this address has.", "required": True, "schema": {"type": "string"}}
_REQUEST_ID_HEADER = {
    "description": "The `request_id`: a UUID sent under this name is kept, else a new one.",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_COUNT = {"schema": {"type": "integer", "minimum": 0}}
_LIMITS: Documented = {
    "RateLimit-Limit": {"description": "Requests a minute, by the limit that is nearest.", **_COUNT},
    "RateLimit-Remaining": {"description": "How many may follow at once.", **_COUNT},
    "RateLimit-Reset": {"description": "Seconds until all of it may follow at once.", **_COUNT},
}
"""None of these is there when the limits are off, or can't be looked up."""


def enveloped(data: dict[str, Any], *, twice: bool = False) -> dict[str, Any]:
    """A successful reply."""
    return {**(data if twice else {}), "request_id": REQUEST_ID, "data": data, "error": None}


def json_body(*models: type[BaseModel], **examples: Any) -> Documented:
    """A JSON body of one of these forms."""
    named = {name: {"value": value} for name, value in examples.items()}
    schemas = [_inlined(model.model_json_schema()) for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    content = {"application/json": {"schema": schema, "examples": named}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its definitions where they are used: a reference would look for them in the document's root."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        found = definitions.get(str(value.get("$ref", "")).rpartition("/")[2], {})
        return {name: resolve(item) for name, item in {**found, **value}.items() if name != "$ref"}

    return dict(resolve(schema))


def ok(model: type[BaseModel], description: str, **examples: Any) -> Documented:
    """A successful reply with its examples."""
    named = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"examples": named}}
    return {"model": model, "description": description, "content": content}


def refusals(*failures: HubError) -> dict[int | str, Documented]:
    """A reply for every status, with an example for every code under it."""
    found: dict[int | str, Documented] = {}
    for failure in (*failures, *ANY_CALL):
        problem: dict[str, Any] = {"code": failure.code, "message": failure.message}
        if failure.details:
            problem["details"] = failure.details
        reply = found.setdefault(failure.status, {"model": replies.Failed, "content": {"application/json": {}}})
        value = {"request_id": REQUEST_ID, "data": None, "error": problem}
        content = reply["content"]["application/json"]
        content.setdefault("examples", {})[failure.code] = {"value": value}
        codes = list(content["examples"])
        content["schema"] = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
        reply["description"] = " · ".join(f"`{code}`" for code in codes)
        if failure.retry_after is not None:
            reply["headers"] = {"Retry-After": RETRY_AFTER}
    return found


def explained(found: dict[int | str, Documented], status: int, what: str) -> dict[int | str, Documented]:
    """The replies, one of them with a word more than its codes."""
    return {**found, status: {**found[status], "description": f"{found[status]['description']}: {what}"}}


def linked(reply: Documented, **links: Documented) -> Documented:
    """The reply, with what its parts are good for in the next call."""
    return {**reply, "links": links}


def wrong(*details: str) -> HubError:
    """A request with these fields wrong."""
    return errors.InvalidRequest(details=list(details))


def describe(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Give the app its document, with the examples of these routers' calls as they were written.

    FastAPI leaves every null out of the document, which the envelope's ``"error": null`` doesn't survive.
    """
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    plain = app.openapi

    def openapi() -> Documented:
        if app.openapi_schema is None:
            document = plain()
            for route in routes:
                for method in route.methods or () if route.include_in_schema else ():
                    _put_back(document["paths"][route.path][method.lower()], route)
            _add_what_all_have(document)
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI's own documentation shows


def _put_back(call: Documented, route: APIRoute) -> None:
    written = [(call["responses"][str(status)], reply) for status, reply in route.responses.items()]
    if "requestBody" in (route.openapi_extra or {}):
        written.append((call["requestBody"], (route.openapi_extra or {})["requestBody"]))
    for shown, given in written:
        for media_type, content in given.get("content", {}).items():
            examples = {name: content[name] for name in ("example", "examples") if name in content}
            shown["content"][media_type].update(examples)


def _add_what_all_have(document: Documented) -> None:
    """The header of every reply, what every call may answer, and what addresses and methods answer that no call has."""
    components = document["components"]
    components["headers"] = {"X-Request-ID": _REQUEST_ID_HEADER, **_LIMITS}
    components["responses"] = {
        "NoSuchAddress": _reply_of(errors.NotFound()),
        "NoSuchMethod": _reply_of(errors.MethodNotAllowed(), Allow=_ALLOW),
    }
    all_replies = list(components["responses"].values())
    for call in (call for methods in document["paths"].values() for call in methods.values()):
        for error in ANY_CALL:
            call["responses"].setdefault(str(error.status), _reply_of(error))
        all_replies += call["responses"].values()
    for reply in all_replies:
        references = {name: {"$ref": f"#/components/headers/{name}"} for name in components["headers"]}
        reply["headers"] = {**reply.get("headers", {}), **references}


def _reply_of(error: HubError, **headers: Documented) -> Documented:
    """The reply of one error, with its model as a reference, as FastAPI writes those of calls."""
    reply = refusals(error)[error.status]
    reply["content"]["application/json"]["schema"]["$ref"] = f"#/components/schemas/{reply.pop('model').__name__}"
    return {**reply, "headers": {**reply.get("headers", {}), **headers}}
