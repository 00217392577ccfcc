"""Tokens lent by auth: asked for once, kept a minute at most, dropped when told so."""

import asyncio
from collections.abc import Callable

import httpx2
import pytest

from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_executor.adapters import lent_tokens
from flickrhub_executor.adapters.lent_tokens import LentTokens

DATA = {
    "user_id": "user-1",
    "api_key": "key",
    "api_secret": "secret",
    "oauth_token": "token",
    "oauth_token_secret": "token-secret",
    "fingerprint": "f00d",
    "perms": "write",
    "nsid": "1@N01",
}


class _Auth:
    """Answers for auth, and counts."""

    def __init__(self, *replies: httpx2.Response | Exception) -> None:
        self.asked: list[httpx2.Request] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._replies = list(replies)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        await self.gate.wait()
        reply = self._replies.pop(0) if self._replies else httpx2.Response(200, json={"data": DATA})
        if isinstance(reply, Exception):
            raise reply
        return reply

    def tokens(self, *, now: Callable[[], float] = lambda: 0.0) -> LentTokens:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self), base_url="http://auth")
        return LentTokens(client, internal_api_token="internal", now=now)


async def test_a_token_is_asked_for_with_the_internal_credential_and_then_kept() -> None:
    auth = _Auth()
    tokens = auth.tokens()
    first, second = await tokens.lend("user-1"), await tokens.lend("user-1")
    assert first is second
    (request,) = auth.asked
    assert (request.method, str(request.url)) == ("POST", "http://auth/internal/v1/connections/user-1/lend")
    assert request.headers["authorization"] == "Bearer internal"
    assert (first.api_key, first.oauth_token_secret, first.fingerprint) == ("key", "token-secret", "f00d")


async def test_many_who_ask_at_once_share_one_question() -> None:
    auth = _Auth()
    tokens = auth.tokens()
    lent = await asyncio.gather(*(tokens.lend("user-1") for _ in range(50)))
    assert len(auth.asked) == 1
    assert len(set(map(id, lent))) == 1


async def test_one_who_stops_waiting_doesn_t_take_the_answer_from_the_others() -> None:
    auth = _Auth()
    auth.gate.clear()
    tokens = auth.tokens()
    first = asyncio.create_task(tokens.lend("user-1"))
    second = asyncio.create_task(tokens.lend("user-1"))
    await asyncio.sleep(0.01)
    first.cancel()
    auth.gate.set()
    assert (await second).user_id == "user-1"


async def test_after_a_minute_it_is_asked_again() -> None:
    auth = _Auth()
    now = 1000.0
    tokens = auth.tokens(now=lambda: now)
    await tokens.lend("user-1")
    now += 59
    await tokens.lend("user-1")
    assert len(auth.asked) == 1
    now += 2
    await tokens.lend("user-1")
    assert len(auth.asked) == 2


async def test_a_forgotten_token_is_asked_for_again() -> None:
    auth = _Auth()
    tokens = auth.tokens()
    await tokens.lend("user-1")
    tokens.forget("user-1")
    tokens.forget("nobody")
    await tokens.lend("user-1")
    assert len(auth.asked) == 2


async def test_an_answer_under_way_when_it_is_forgotten_isn_t_kept() -> None:
    auth = _Auth()
    auth.gate.clear()
    tokens = auth.tokens()
    asking = asyncio.create_task(tokens.lend("user-1"))
    await asyncio.sleep(0.01)
    tokens.forget("user-1")
    auth.gate.set()
    await asking
    await tokens.lend("user-1")
    assert len(auth.asked) == 2


async def test_no_more_than_a_bound_are_kept_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent_tokens, "KEPT_AT_MOST", 2)
    auth = _Auth()
    tokens = auth.tokens()
    for user in ("a", "b", "c", "b", "c"):
        await tokens.lend(user)
    assert len(auth.asked) == 3
    await tokens.lend("a")
    assert len(auth.asked) == 4


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (httpx2.Response(404, json={"data": None}), TokenNotFound),
        (httpx2.Response(401), Unavailable),
        (httpx2.Response(500), Unavailable),
        (httpx2.Response(503), Unavailable),
        (httpx2.Response(302, headers={"Location": "http://elsewhere"}), Unavailable),
        (httpx2.Response(200, content=b"<html>"), Unavailable),
        (httpx2.Response(200, json={"data": None}), Unavailable),
        (httpx2.Response(200, json={"data": {"user_id": "user-1"}}), Unavailable),
        (httpx2.Response(200, json=[]), Unavailable),
        (httpx2.ConnectError("refused"), Unavailable),
        (httpx2.ReadTimeout("slow"), Unavailable),
    ],
)
async def test_no_token_is_one_of_two_errors_and_the_next_who_asks_asks_anew(
    reply: httpx2.Response | Exception, error: type[Exception]
) -> None:
    tokens = _Auth(reply).tokens()
    with pytest.raises(error):
        await tokens.lend("user-1")
    assert (await tokens.lend("user-1")).user_id == "user-1"


@pytest.mark.parametrize("user_id", ["a/b", "a?b#c", "a b\r\n", "é", "\x00"])
async def test_an_odd_user_id_stays_one_part_of_the_path(user_id: str) -> None:
    auth = _Auth()
    await auth.tokens().lend(user_id)
    path = auth.asked[0].url.raw_path.decode()
    assert path.startswith("/internal/v1/connections/")
    assert path.endswith("/lend")
    assert path.count("/") == 5
