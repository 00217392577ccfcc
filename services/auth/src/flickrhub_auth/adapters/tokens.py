"""The connected accounts in MongoDB, collection ``tokens``.

One document for each Flickr account and api_key, ``_id`` = user_id. Secrets are under ``sealed``, each sealed for its
document and field; revoking removes them. Everything else is in clear, for operators.
"""

from datetime import datetime
from typing import Any

from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from flickrhub_auth.errors import TokenUnreadable
from flickrhub_auth.models import App, Connection, Grant
from flickrhub_common.mongo import Database, Document, mongo_errors
from flickrhub_common.sealed_documents import SealedDocuments
from flickrhub_common.sealing import CannotOpen, KeyRing

COLLECTION = "tokens"
_SEALED = ("api_secret", "oauth_token", "oauth_token_secret")
_USABLE = {"revoked_at": None, "sealed": {"$type": "object"}}


class MongoTokens:
    """Stores connected accounts."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._tokens = database[COLLECTION]
        self._keys = keys

    async def check(self) -> None:
        """Raise Unavailable if the database doesn't answer."""
        with mongo_errors():
            await self._database.command("ping")

    async def user_of(self, *, user_nsid: str, api_key: str) -> str | None:
        """The user_id of an account that was connected with this api_key before. Raises Unavailable."""
        with mongo_errors():
            found = await self._tokens.find_one({"user_nsid": user_nsid, "api_key": api_key}, {"_id": 1})
        return str(found["_id"]) if found else None

    async def add(self, connection: Connection, *, at: datetime) -> bool:
        """Store an account's first token; False if the account is there already. Raises Unavailable.

        The unique index decides. It is asked for each time, which costs the server nothing when it is there: accounts
        are connected rarely, and the database may have been absent, or another one, when this process started.
        """
        document = {"_id": connection.user_id, "created_at": at, "replaced_at": None, **self._fields(connection)}
        with mongo_errors():
            await self._tokens.create_index(
                [("user_nsid", ASCENDING), ("api_key", ASCENDING)], unique=True, name="account"
            )
            try:
                await self._tokens.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    async def replace(self, connection: Connection, *, at: datetime) -> None:
        """Store a new token in place of the account's old or revoked one. Raises Unavailable."""
        fields = {**self._fields(connection), "replaced_at": at}
        with mongo_errors():
            await self._tokens.update_one({"_id": connection.user_id}, {"$set": fields})

    async def exists(self, user_id: str) -> bool:
        """Whether there is a usable connection. Raises Unavailable."""
        with mongo_errors():
            return await self._tokens.find_one({"_id": user_id, **_USABLE}, {"_id": 1}) is not None

    async def read(self, user_id: str) -> Connection | None:
        """The connection with its secrets, None if there is no usable one. Raises TokenUnreadable or Unavailable."""
        with mongo_errors():
            found = await self._tokens.find_one({"_id": user_id, **_USABLE})
        return self._connection(found) if found else None

    async def revoke(self, user_id: str, *, fingerprint: str, at: datetime) -> datetime | None:
        """Erase the token if it is the one with this fingerprint; since when it is revoked. Raises Unavailable."""
        erase: list[dict[str, Any]] = [{"$set": {"revoked_at": {"$ifNull": ["$revoked_at", at]}}}, {"$unset": "sealed"}]
        with mongo_errors():
            found = await self._tokens.find_one_and_update(
                {"_id": user_id, "fingerprint": fingerprint}, erase, return_document=ReturnDocument.AFTER
            )
        since: datetime | None = found["revoked_at"] if found else None
        return since

    def _fields(self, connection: Connection) -> Document:
        return {
            "user_nsid": connection.grant.user_nsid,
            "api_key": connection.app.api_key,
            "username": connection.grant.username,
            "fullname": connection.grant.fullname,
            "perms": connection.perms,
            "fingerprint": connection.fingerprint,
            "revoked_at": None,
            "sealed": self._sealed(connection),
        }

    def _sealed(self, connection: Connection) -> dict[str, str]:
        secrets = {
            "api_secret": connection.app.api_secret,
            "oauth_token": connection.grant.oauth_token,
            "oauth_token_secret": connection.grant.oauth_token_secret,
        }
        return {
            name: self._keys.seal(secret, purpose=_purpose(name), owner=connection.user_id)
            for name, secret in secrets.items()
        }

    def _connection(self, found: Document) -> Connection:
        user_id = str(found["_id"])
        try:
            secrets = {
                name: self._keys.open(sealed, purpose=_purpose(name), owner=user_id)
                for name, sealed in found["sealed"].items()
            }
        except CannotOpen as error:
            raise TokenUnreadable from error
        grant = Grant(
            oauth_token=secrets["oauth_token"],
            oauth_token_secret=secrets["oauth_token_secret"],
            user_nsid=found["user_nsid"],
            username=found["username"],
            fullname=found["fullname"],
        )
        return Connection(user_id, App(found["api_key"], secrets["api_secret"]), grant, found["perms"])


def sealed_tokens(database: Database) -> list[SealedDocuments]:
    """The sealed values of all connected accounts, as places to reseal."""
    tokens = database[COLLECTION]
    return [SealedDocuments(tokens, field=f"sealed.{name}", purpose=_purpose(name)) for name in _SEALED]


def _purpose(field: str) -> str:
    return f"token.{field}"
