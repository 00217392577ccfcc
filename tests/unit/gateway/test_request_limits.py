"""Who is let in, how often, and what the reply says of it."""

import asyncio
import ipaddress
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from flickrhub_common.errors import Unavailable
from flickrhub_gateway.adapters.request_counts import OwnCounts
from flickrhub_gateway.limits import Bucket, Standing, Whose, client_address, decide
from flickrhub_gateway.usecases.admit_request import AdmitRequest
from tests.unit.gateway.fakes import STRANGER, USER, Surroundings

REST, STATUS = "/api/v1/flickr/rest", "/api/v1/flickr/jobs/status"
PHOTO = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,"
PROXIES = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8"))
SIX = Bucket(Whose.USER, "u", 6)


@pytest.mark.parametrize(
    ("full_in", "remaining", "full_after", "retry_after"),
    [
        (-5.0, 5, 10.0, None),
        (0.0, 5, 10.0, None),
        (10.0, 4, 20.0, None),
        (12.5, 3, 22.5, None),
        (50.0, 0, 60.0, None),
        (50.5, 0, 50.5, 1),
        (51.5, 0, 51.5, 2),
        (60.0, 0, 60.0, 10),
        (86_400.0, 5, 10.0, None),
    ],
)
def test_a_bucket_lets_in_what_fits(full_in: float, remaining: int, full_after: float, retry_after: int | None) -> None:
    standing = decide([SIX], [1000 + full_in], now=1000)
    assert (standing.remaining, standing.full_in, standing.retry_after) == (remaining, full_after, retry_after)


def test_of_two_buckets_the_nearer_is_told_and_the_longer_wait_counts() -> None:
    large = Bucket(Whose.ADDRESS, "a", 60)
    assert decide([large, SIX], [0, 0], now=100).bucket is SIX
    assert decide([large, SIX], [158.5, 0], now=100).bucket is large
    assert decide([large, SIX], [160, 160], now=100).bucket is SIX


@pytest.mark.parametrize("per_minute", [1, 3, 7, 6000, 12_000])
async def test_just_so_many_are_let_in_at_once_and_one_more_after_its_share_of_a_minute(per_minute: int) -> None:
    now = 1_000_000.0
    counts, bucket = OwnCounts(lambda: now), Bucket(Whose.USER, "u", per_minute)
    let_in = [await counts.take([bucket]) for _ in range(per_minute)]
    assert [standing.remaining for standing in let_in] == list(range(per_minute - 1, -1, -1))
    assert (await counts.take([bucket])).wait == pytest.approx(60 / per_minute, abs=1e-3)
    now += 60 / per_minute
    assert not (await counts.take([bucket])).wait
    assert (await counts.take([bucket])).wait


async def test_a_clock_that_goes_back_shuts_nobody_out() -> None:
    now = 1_000_000.0
    counts = OwnCounts(lambda: now)
    for _ in range(6):
        await counts.take([SIX])
    now -= 3600
    assert [(await counts.take([SIX])).retry_after for _ in range(7)] == [None] * 6 + [10]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense, 10.3.3.3"], "10.3.3.3"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8:1:2:3:4:5:6]:4711"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, [], "unknown"),
        ("testclient", ["1.1.1.1"], "unknown"),
    ],
)
def test_a_client_is_who_trusted_proxies_say_it_is(peer: str | None, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_what_a_client_makes_up_is_not_kept() -> None:
    tracemalloc.start()
    for number in range(200):
        assert client_address("10.0.0.1", [f"{number}" * 8_000], PROXIES) == "10.0.0.1"
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


@dataclass
class FakeCounts:
    """Redis, as far as this goes."""

    failure: Exception | None = None
    silent: bool = False
    asked: list[list[str]] = field(default_factory=list)
    answer: Standing | None = None

    async def take(self, buckets: Sequence[Bucket]) -> Standing:
        self.asked.append([bucket.name for bucket in buckets])
        if self.silent:
            await asyncio.sleep(60)
        if self.failure:
            raise self.failure
        return self.answer or Standing(bucket=buckets[0], remaining=1, full_in=1)


@dataclass
class World:
    now: float = 1000.0
    shared: FakeCounts = field(default_factory=FakeCounts)
    own: FakeCounts = field(default_factory=FakeCounts)

    def admit(self, **rates: int) -> AdmitRequest:
        limits = {"per_user": 5, "per_address": 10, **rates}
        return AdmitRequest(self.shared, self.own, **limits, now=lambda: self.now, patience=0.02)


@pytest.mark.parametrize(
    ("rates", "asked"),
    [
        ({}, [["a", "u"]]),
        ({"per_user": 0}, [["a"]]),
        ({"per_address": 0}, [["u"]]),
        ({"per_user": 0, "per_address": 0}, []),
    ],
)
async def test_a_limit_of_0_isnt_looked_up(rates: dict[str, int], asked: list[list[str]]) -> None:
    world = World()
    await world.admit(**rates)(address="a", user_id="u")
    assert world.shared.asked == asked


async def test_a_refusal_is_remembered_for_as_long_as_it_was_told() -> None:
    world = World()
    admit = world.admit()
    world.shared.answer = Standing(bucket=Bucket(Whose.USER, "u", 5), remaining=0, full_in=59, wait=1.5)
    first = await admit(address="a", user_id="u")
    world.now += 1.2
    again = await admit(address="b", user_id="u")
    assert first is not None
    assert again is not None
    assert (first.retry_after, again.retry_after, len(world.shared.asked)) == (2, 1, 1)
    world.shared.answer = None
    assert await admit(address="a", user_id="other")
    world.now += 1.0
    assert (await admit(address="a", user_id="u")) == Standing(
        bucket=Bucket(Whose.ADDRESS, "a", 10), remaining=1, full_in=1
    )


@pytest.mark.parametrize(("failure", "silent"), [(Unavailable("redis"), False), (None, True)])
async def test_without_redis_each_gateway_counts_by_itself_and_says_so_once_a_minute(
    failure: Exception | None, silent: bool
) -> None:
    world = World(shared=FakeCounts(failure, silent))
    admit = world.admit()
    with capture_logs() as lines:
        for _ in range(5):
            assert await admit(address="a", user_id="u")
        assert (len(world.shared.asked), len(world.own.asked)) == (1, 5)
        world.now += 1.1
        await admit(address="a", user_id="u")
        assert len(world.shared.asked) == 2
        world.now += 60
        await admit(address="a", user_id="u")
    assert [line["event"] for line in lines] == ["requests_counted_without_redis"] * 2


def _headers(reply: httpx2.Response) -> list[str | None]:
    return [reply.headers.get(name) for name in ("ratelimit-limit", "ratelimit-remaining", "retry-after")]


def _client(around: Surroundings, address: str = "203.0.113.5") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(around.app(), raise_app_exceptions=False, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://hub")


def _job(user_id: str = USER) -> dict[str, Any]:
    return {"method": "flickr.test.echo", "user_id": user_id}


async def test_a_users_requests_of_every_kind_count_together(around: Surroundings) -> None:
    around.per_user = 4
    async with _client(around) as http:
        replies = [
            await http.post(REST, json=_job()),
            await http.post(STATUS, json={"user_id": USER.upper(), "job_id": STRANGER}),
            await http.post("/api/v1/uploads", params={"user_id": USER}, content=b"x"),
            await http.post("/api/v1/uploads", files={"photo": ("a.gif", PHOTO)}, data={"user_id": USER}),
            await http.post(REST, json={**_job(), "nonsense": 1}),
            await http.post(REST, json=_job(STRANGER)),
        ]
    assert [reply.status_code for reply in replies] == [202, 404, 400, 400, 429, 404]
    assert [_headers(reply)[:2] for reply in replies[:4]] == [["4", str(left)] for left in (3, 2, 1, 0)]
    assert _headers(replies[4]) == ["4", "0", "15"]
    error = replies[4].json()["error"]
    assert error == {"code": "ERR_RATE_LIMITED", "message": "Too many requests for this user_id."}
    assert len(around.jobs.kept) == 1


async def test_who_names_its_user_again_and_again_is_counted_once(around: Surroundings) -> None:
    around.per_user = 3
    form = [("user_id", (None, name.encode())) for name in (USER, USER.upper(), USER)]
    async with _client(around) as http:
        reply = await http.post("/api/v1/uploads", params={"user_id": USER}, files=[*form, ("photo", ("a.gif", PHOTO))])
        assert _headers(reply)[:2] == ["3", "2"]
        assert _headers(await http.post(REST, json=_job()))[:2] == ["3", "1"]


async def test_an_addresss_requests_of_every_kind_count_together_but_probes_dont(around: Surroundings) -> None:
    around.per_address = 9
    async with _client(around) as http:
        for _ in range(30):
            assert (await http.get("/health")).headers.get("ratelimit-limit") is None
        replies = [
            await http.get("/"),
            await http.get("/nowhere"),
            await http.get("/api/v1/auth/callback"),
            await http.post("/api/v1/auth/start", json={}),
            await http.post(REST, json=_job()),
            await http.post(REST, content=b"nonsense"),
            await http.post(REST, content=b"nonsense", headers={"Content-Type": "application/json"}),
            await http.post(REST, content=b"x" * 2 * 1024**2),
            await http.delete(REST),
        ]
        refused = [await http.post(REST, content=b"nonsense"), await http.get("/"), await http.post(REST, json=_job())]
    assert [reply.status_code for reply in replies] == [200, 404, 400, 400, 202, 415, 400, 413, 405]
    assert [_headers(reply)[1] for reply in replies] == [str(left) for left in range(8, -1, -1)]
    assert [reply.status_code for reply in refused] == [429] * 3
    assert refused[0].json()["error"]["message"] == "Too many requests from this address."
    assert refused[0].headers["x-request-id"] == refused[0].json()["request_id"]
    async with _client(around, "203.0.113.6") as http:
        assert (await http.get("/")).status_code == 200


async def test_a_body_that_names_nobody_is_counted_before_it_is_answered(around: Surroundings) -> None:
    around.per_address = 1
    async with _client(around) as http:
        replies = [await http.post(REST, content=b"nonsense") for _ in range(2)]
    assert [reply.status_code for reply in replies] == [415, 429]
    assert [_headers(reply) for reply in replies] == [["1", "0", None], ["1", "0", "60"]]


async def test_an_address_that_is_refused_takes_nothing_from_the_user(around: Surroundings) -> None:
    around.per_address, around.per_user = 1, 2
    async with _client(around) as http:
        assert [(await http.post(REST, json=_job())).status_code for _ in range(3)] == [202, 429, 429]
    async with _client(around, "203.0.113.6") as http:
        assert (await http.post(REST, json=_job())).status_code == 202


async def test_a_proxy_that_isnt_trusted_names_nobody(around: Surroundings) -> None:
    around.per_address = 1
    async with _client(around) as http:
        for number, expected in enumerate((200, 429)):
            assert (await http.get("/", headers={"X-Forwarded-For": f"1.1.1.{number}"})).status_code == expected
    around.trusted_proxies = PROXIES
    async with _client(around, "10.0.0.1") as http:
        for number in range(3):
            assert (await http.get("/", headers={"X-Forwarded-For": f"9.9.9.9, 1.1.1.{number}"})).status_code == 200
        assert (await http.get("/", headers={"X-Forwarded-For": "8.8.8.8, 1.1.1.1"})).status_code == 429


async def test_without_limits_nothing_is_said_of_them(http: httpx2.AsyncClient) -> None:
    assert not [name for name in (await http.get("/")).headers if name.startswith("ratelimit")]
