"""Secrets at rest: AES-256-GCM with a ring of keys, bound to the document they belong to.

A sealed value reads ``v1.<key id>.<base64url of nonce and ciphertext>``. The associated data names what the secret is
and whose, so a value copied into another document doesn't open. The newest key seals, any key of the ring opens.
"""

import base64
import json
import os
import secrets
from dataclasses import dataclass
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = "v1"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class CannotOpen(Exception):
    """A sealed value doesn't open: unknown key, changed value, or another document's. Says nothing about the value."""


class UnknownKey(CannotOpen):
    """The key isn't in the ring: an operator who puts it back has mended it. ``key_id`` names it."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__("sealed under a key that isn't here")


@dataclass(frozen=True, repr=False)
class KeyRing:
    """Keys by id, newest first."""

    keys: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read ``<id>:<base64 of 32 bytes>[,…]``, newest first. Raises ValueError without repeating a key."""
        keys = tuple(_parse_key(part.strip()) for part in text.split(",") if part.strip())
        if not keys:
            raise ValueError("needs at least one key, as <id>:<base64 of 32 bytes>")
        if len({kid for kid, _ in keys}) != len(keys):
            raise ValueError("has the same key id twice")
        return cls(keys)

    def seal(self, secret: str, *, purpose: str, owner: str) -> str:
        """Seal under the newest key; ``purpose`` and ``owner`` must be given again to open it."""
        kid, key = self.keys[0]
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + _cipher(key).encrypt(nonce, secret.encode(), _associated(purpose, owner))
        return f"{_VERSION}.{kid}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, *, purpose: str, owner: str) -> str:
        """Open a sealed value. Raises CannotOpen, which is UnknownKey if only the key is missing."""
        version, _, rest = sealed.partition(".")
        kid, _, text = rest.partition(".")
        if version != _VERSION:
            raise CannotOpen("no sealed value of a version that is known here")
        key = dict(self.keys).get(kid)
        if key is None:
            raise UnknownKey(key_id(sealed))
        try:
            raw = base64.urlsafe_b64decode(text)
            return _cipher(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _associated(purpose, owner)).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("changed, or sealed for something else") from error

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self.keys[0][0]

    def reseal(self, sealed: str, *, purpose: str, owner: str) -> str:
        """The same secret under the newest key; what is under it already comes back as it is. Raises CannotOpen."""
        if sealed.startswith(prefix_of(self.newest)):
            return sealed
        return self.seal(self.open(sealed, purpose=purpose, owner=owner), purpose=purpose, owner=owner)


def prefix_of(key_id: str) -> str:
    """What every value sealed under this key begins with."""
    return f"{_VERSION}.{key_id}."


def key_id(sealed: str) -> str:
    """The id of the key a value is sealed under; ``?`` if it is no sealed value."""
    version, _, rest = sealed.partition(".")
    kid, dot, _ = rest.partition(".")
    return kid if version == _VERSION and dot and kid.isalnum() else "?"


def new_key() -> str:
    """A new key as it stands in ENCRYPTION_KEYS, ``<id>:<base64 of 32 bytes>``, with an id no other key has."""
    return f"k{secrets.token_hex(6)}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"


@cache
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _associated(purpose: str, owner: str) -> bytes:
    return json.dumps([purpose, owner]).encode()  # in a form in which neither can pass for a part of the other


def _parse_key(part: str) -> tuple[str, bytes]:
    kid, _, text = part.partition(":")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if not kid.isalnum() or len(key) != _KEY_BYTES:
        raise ValueError("needs keys of the form <letters or digits>:<base64 of 32 bytes>")
    return kid, key
