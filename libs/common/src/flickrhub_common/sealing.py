"""Secrets at rest: AES-256-GCM with a ring of keys, bound to the document they belong to.

A sealed value reads ``v1.<key id>.<base64url of nonce and ciphertext>``. The associated data names what the secret is
and whose, so a value copied into another document doesn't open. The newest key seals, any key of the ring opens.
"""

import base64
import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = "v1"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class CannotOpen(Exception):
    """A sealed value doesn't open: unknown key, changed value, or another document's. Says nothing about the value."""


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
        sealed = nonce + AESGCM(key).encrypt(nonce, secret.encode(), _associated(purpose, owner))
        return f"{_VERSION}.{kid}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, *, purpose: str, owner: str) -> str:
        """Open a sealed value. Raises CannotOpen."""
        version, _, rest = sealed.partition(".")
        kid, _, text = rest.partition(".")
        key = dict(self.keys).get(kid)
        if version != _VERSION or key is None:
            raise CannotOpen("sealed under a key or version that isn't here")
        try:
            raw = base64.urlsafe_b64decode(text)
            return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _associated(purpose, owner)).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("changed, or sealed for something else") from error


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
