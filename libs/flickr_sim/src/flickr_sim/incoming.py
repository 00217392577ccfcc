"""Read one HTTP request into the parameters Flickr sees and signs.

Flickr takes OAuth parameters from the Authorization header, the query, a form body or the text fields of a multipart
body, even from several of them at once, and signs all of these but the file. oauthlib's endpoint is stricter (one
place only, no multipart), so the request is read here and only its signature is checked by oauthlib.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from oauthlib.oauth1.rfc5849.utils import parse_authorization_header
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive, Scope

from flickr_sim.errors import Unreadable

PHOTO_KINDS = ("upload", "replace")
BODY_LIMIT = 8 * 1024 * 1024
FIELDS_LIMIT = 1000

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """What is known of the file of an upload; `head` is its first bytes, the rest is gone."""

    filename: str
    size: int
    sha256: str
    head: bytes


@dataclass(slots=True)
class Incoming:
    """One request as Flickr reads it.

    `uri` is the URL as sent, without its query; `params` is every parameter but the realm, in the order query, body,
    header; `fields` are the method's arguments and `oauth` the protocol's (the last of equal names counts).
    `oauth_attempted` is true when the request speaks OAuth at all. `photo` is the file of an upload.
    """

    kind: str
    http_method: str
    uri: str
    params: Pairs = field(default_factory=list)
    oauth_attempted: bool = False
    oauth: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    photo: ReceivedPhoto | None = None

    @property
    def carries_photo(self) -> bool:
        """Say whether it came to an address that takes photos."""
        return self.kind in PHOTO_KINDS

    @property
    def format_fields(self) -> Mapping[str, str]:
        """The fields that choose the answer's format; uploads are answered in XML whatever they ask for."""
        return {} if self.carries_photo else self.fields

    @property
    def api_key(self) -> str | None:
        """The key the request claims to come from."""
        return self.oauth.get("oauth_consumer_key", self.fields.get("api_key"))


async def read_incoming(scope: Scope, receive: Receive, kind: str) -> Incoming:
    """Read query, header and body; raise `Unreadable` for what is too big or broken."""
    return assembled(scope, kind, await _body_pairs(Headers(scope=scope), receive))


def assembled(scope: Scope, kind: str, body_pairs: Pairs, photo: ReceivedPhoto | None = None) -> Incoming:
    """Put a request together from its query, its header and what its body was found to hold."""
    headers = Headers(scope=scope)
    pairs = form_pairs(scope["query_string"].decode("utf-8", "replace")) + body_pairs
    attempted, header_pairs = _header_pairs(headers.get("authorization", ""))
    pairs += header_pairs
    incoming = Incoming(kind, scope["method"], _uri(scope, headers), pairs, attempted, photo=photo)
    for name, value in pairs:
        if name.startswith("oauth_"):
            incoming.oauth[name] = value
            incoming.oauth_attempted = True
        else:
            incoming.fields[name] = value
    return incoming


def _uri(scope: Scope, headers: Headers) -> str:
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    host = headers.get("host") or "{}:{}".format(*(scope.get("server") or ("localhost", 80)))
    return f"{scope['scheme']}://{host}{raw_path.split(b'?')[0].decode('latin-1')}"


def form_pairs(encoded: str) -> Pairs:
    """Decode a query or a form body."""
    if not encoded:
        return []
    try:
        return parse_qsl(encoded, keep_blank_values=True, max_num_fields=FIELDS_LIMIT)
    except ValueError as error:
        raise Unreadable(400, "The request has too many parameters.") from error


def _header_pairs(header: str) -> tuple[bool, Pairs]:
    if header.partition(" ")[0].lower() != "oauth":
        return False, []
    try:
        pairs = parse_authorization_header(header)
    except ValueError:
        return True, []  # a header that can't be parsed carries nothing: the parameters are absent
    return True, [(name, unquote(value)) for name, value in pairs if name.lower() != "realm"]


async def _body_pairs(headers: Headers, receive: Receive) -> Pairs:
    content_type = headers.get("content-type", "").lower()
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return []
    body = await _read_body(receive)
    if content_type.startswith("application/x-www-form-urlencoded"):
        return form_pairs(body.decode("utf-8", "replace"))
    if content_type.startswith("multipart/form-data"):
        return await _multipart_pairs(headers, body)
    return []


async def _read_body(receive: Receive) -> bytes:
    return b"".join([chunk async for chunk in chunks_of(receive, most=BODY_LIMIT)])


async def chunks_of(receive: Receive, *, most: int) -> AsyncGenerator[bytes, None]:
    """A request's body as it comes; raise `Unreadable` when it is longer than `most` bytes or ends early."""
    seen = 0
    more = True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise Unreadable(400, "The request body ended early.")
        chunk: bytes = message.get("body", b"")
        seen += len(chunk)
        if seen > most:
            raise Unreadable(413, "The request body is too large.")
        more = message.get("more_body", False)
        if chunk:
            yield chunk


async def _multipart_pairs(headers: Headers, body: bytes) -> Pairs:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, stream(), max_files=10, max_fields=FIELDS_LIMIT, max_part_size=BODY_LIMIT)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Unreadable(400, "The multipart body is broken.") from error
    pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    await form.close()
    return pairs
