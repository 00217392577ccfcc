"""What a failed bulk write means for each of those who were in it."""

from typing import Any

import pytest
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError

from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import Collection, insertion, write_together


class Refusing:
    """A collection whose every bulk fails in this way."""

    def __init__(self, **details: Any) -> None:
        self._details = details

    async def bulk_write(self, *_: object, **__: object) -> None:
        raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [], **self._details})


async def told(refusing: Refusing, count: int = 3) -> list[type]:
    collection: Collection = refusing  # type: ignore[assignment]
    return [type(one) for one in await write_together(collection, [insertion({"_id": n}) for n in range(count)])]


async def test_each_has_its_own_error() -> None:
    errors = [{"index": 2, "code": 11000, "errmsg": "twice"}, {"index": 0, "code": 17419, "errmsg": "too large"}]
    assert await told(Refusing(writeErrors=errors)) == [WriteError, type(None), DuplicateKeyError]


async def test_a_server_that_is_going_may_have_made_some() -> None:
    errors = [{"index": 1, "code": 11600, "errmsg": "interrupted at shutdown"}]
    assert await told(Refusing(writeErrors=errors)) == [type(None), Unavailable, type(None)]


@pytest.mark.parametrize("code", [91, 64], ids=["going", "no majority in time"])
async def test_without_its_majority_none_is_certain(code: int) -> None:
    concern = {"code": code, "errmsg": "", "errInfo": {"wtimeout": True} if code == 64 else {}}
    with pytest.raises(Unavailable):
        await told(Refusing(writeConcernErrors=[concern]))


async def test_a_write_concern_that_cant_be_had_is_nobodys_success() -> None:
    assert await told(Refusing(writeConcernErrors=[{"code": 100, "errmsg": ""}]), count=2) == [BulkWriteError] * 2
