"""One verdict for a URL wherever it is judged, and what the driver dials is what was judged.

The check of the gateway at enqueue, the POST of the notifier and the GET of the executor are the real ones; only DNS
and the socket are replaced. The driver has a URL parser of its own: wherever the two disagree there would be a way in.
"""

import ipaddress
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import httpcore2
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import NoOpTracer
from pydantic_core import PydanticCustomError

from flickrhub_common.addresses import AddressPolicy, RefusedUrl, addresses_of, check_url, host_of
from flickrhub_common.call_client import CallClient, CallFailure
from flickrhub_common.guarded_calls import make_guarded_call_client
from flickrhub_common.http_client import HttpClient, as_sent, make_guarded_client
from flickrhub_executor.adapters.fetched_photos import FetchedPhotos
from flickrhub_executor.errors import CallFailed
from flickrhub_gateway.handlers.values import callable_url
from flickrhub_notifier.adapters.receiver import HttpReceiver
from flickrhub_notifier.models import Post
from tests.support.hostile_urls import NO_URLS, REFUSED_HOSTS, in_url

POLICIES = {
    "nobody else": AddressPolicy(),
    "loopback": AddressPolicy.parse("127.0.0.0/8,::1/128"),
    "one link": AddressPolicy.parse("fe80::/10,10.0.0.0/8"),
}
PUBLIC_HOSTS = [
    *(
        "example.com",
        "Example.COM.",
        "b\u00fccher.example",
        "xn--bcher-kva.example",
        "\u4f8b\u3048\u3002jp",
        "\u212aelvin.example",
    ),
    *(
        "8.8.8.8",
        "[2606:4700::1]",
        "[::ffff:8.8.8.8]",
        "a_b.example",
        "-.example",
        "~.example",
        "\u00df.example",
        "\u0130.example",
    ),
]
BEFORE = [
    *(
        "http://",
        "https://",
        "HTTP://",
        "hTTps://",
        "http:",
        "http:/",
        "http:///",
        "//",
        "http:\\\\",
        "http://\\",
        " http://",
    ),
    *(
        "http://u@",
        "http://@",
        "http://u:p@",
        "http://a@b@",
        "http://a#@",
        "http://a?@",
        "http://a/@",
        "http://\t",
        "http://[::1]@",
    ),
]
PORTS = [
    "",
    ":",
    ":0",
    ":80",
    ":8080",
    ":080",
    ":65535",
    ":65536",
    ":+80",
    ":\uff18\uff10",
    ":8_0",
    ": 80",
    ":80:90",
    ":-1",
]
TAILS = [
    "",
    "/",
    "/a?b#c",
    "?a",
    "#a",
    "?@127.0.0.1",
    "/@b",
    "\\a",
    "@a",
    ";x",
    "/\u00e4",
    "/\u2028",
    "/%zz",
    "/\ud800",
    "/\x7f",
]


def combined(count: int) -> Iterator[str]:
    """So many URLs of these parts, always the same, and those that are none at all."""
    everything = itertools.product(BEFORE, [*REFUSED_HOSTS, *PUBLIC_HOSTS], PORTS, TAILS)
    yield from NO_URLS
    yield from ("".join(parts) for parts in random.Random(4).sample(list(everything), count))  # noqa: S311
    yield from (f"http://{host}{port}{tail}" for host in PUBLIC_HOSTS for port in PORTS for tail in TAILS)


def passes(url: str, policy: AddressPolicy) -> bool:
    """The verdict itself."""
    try:
        check_url(url, policy)
    except RefusedUrl:
        return False
    return True


def driver_agrees(url: str) -> None:
    """What the driver makes of a URL that was found good."""
    request = httpx2.Request("POST", url)
    assert request.url.raw_host.decode("ascii") == host_of(url), url
    assert request.url.scheme in {"http", "https"}, url
    assert request.url.userinfo == b"", url
    assert request.url.host, url  # which it decodes, and may fail at
    assert request.headers["host"].startswith(in_url(host_of(url))), url


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_the_driver_reads_every_url_that_passes_as_the_check_does(policy: AddressPolicy) -> None:
    passed = [url for url in combined(20_000) if passes(url, policy)]
    assert len(passed) > 500
    for url in passed:
        driver_agrees(url)


hosts = st.one_of(
    st.ip_addresses().map(str).map(in_url),
    st.sampled_from([*REFUSED_HOSTS, *PUBLIC_HOSTS]),
    st.integers(0, 2**33).map(str),
    st.integers(0, 2**33).map(hex),
    st.lists(st.sampled_from(["127", "0", "1", "0x7f", "0177", "00", "255", "256", "a", ""]), max_size=6).map(".".join),
    st.text(
        st.sampled_from("aZ09.-_%[]:@/?#\\ \t~!$&'()*+,;=\u3002\uff0e\u00df\u0130\u200d\u00ad\uff11\ud800"), max_size=12
    ),
    st.text(max_size=12),
)
urls = st.builds(
    lambda before, host, port, tail: f"{before}{host}{port}{tail}",
    st.sampled_from(BEFORE) | st.just("http://"),
    hosts,
    st.sampled_from(PORTS) | st.integers(-1, 70_000).map(lambda port: f":{port}"),
    st.sampled_from(TAILS) | st.text(max_size=8),
)


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(urls, st.sampled_from(list(POLICIES.values())))
def test_nor_is_there_a_url_at_random_that_they_read_differently(url: str, policy: AddressPolicy) -> None:
    if passes(url, policy):
        driver_agrees(url)


@dataclass
class Judges:
    """Everybody who judges a URL, and what was dialled."""

    policy: AddressPolicy
    client: HttpClient
    calls: CallClient
    receiver: HttpReceiver
    photos: FetchedPhotos
    dialled: list[str] = field(default_factory=list)

    def gateway(self, url: str) -> bool:
        """Whether the gateway takes it."""
        try:
            callable_url(url, self.policy)
        except PydanticCustomError:
            return False
        return True

    async def notifier(self, url: str) -> bool:
        """Whether the notifier dials it."""
        error = (await self.receiver.post(Post(url, b"{}", {}))).error
        assert error in {"refused_address", "invalid_url", "connection_failed"}, (url, error)
        return error == "connection_failed"

    async def executor(self, url: str) -> bool:
        """Whether the executor dials it."""
        with pytest.raises(CallFailed) as failed:
            async with self.photos.open(url):
                pass
        assert failed.value.code in {"ERR_PHOTO_ADDRESS", "ERR_PHOTO_UNREACHABLE"}, url
        return failed.value.code == "ERR_PHOTO_UNREACHABLE"


@asynccontextmanager
async def judges(policy: AddressPolicy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Judges]:
    """All three, with a DNS in which every name has one public address, and sockets that refuse."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(make_guarded_client(policy, timeout_seconds=5))
        calls = await stack.enter_async_context(make_guarded_call_client(policy, timeout_seconds=5))
        receiver = HttpReceiver(calls, policy=policy, tracer=NoOpTracer(), timeout_seconds=5)
        photos = FetchedPhotos(client, policy=policy, bytes_per_second=16_384)
        all_of_them = Judges(policy, client, calls, receiver, photos)

        async def connect(_: object, host: str, *__: object, **___: object) -> None:
            all_of_them.dialled.append(host)
            raise httpcore2.ConnectError

        async def dial(_: object, __: object, address: tuple[str, int]) -> None:
            all_of_them.dialled.append(address[0])
            raise ConnectionError

        monkeypatch.setattr("httpcore2.AnyIOBackend.connect_tcp", connect)
        monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", dial)
        monkeypatch.setattr("socket.getaddrinfo", lambda _, port, **__: [(2, 1, 6, "", ("93.184.216.34", port))])
        yield all_of_them


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
async def test_gateway_notifier_and_executor_give_the_same_verdict_and_dial_what_was_judged(
    policy: AddressPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = 0
    async with judges(policy, monkeypatch) as judging:
        for url in combined(300):
            verdict = judging.gateway(url)
            expected = (
                [str(each) for each in addresses_of(host_of(url), policy) or ["93.184.216.34"]] if verdict else []
            )
            for dials in (judging.notifier, judging.executor):
                judging.dialled.clear()
                assert await dials(url) == verdict, url
                assert list(dict.fromkeys(str(ipaddress.ip_address(each)) for each in judging.dialled)) == expected, url
            accepted += verdict
    assert accepted > 100


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
async def test_the_guard_alone_dials_nothing_that_is_not_permitted(
    policy: AddressPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the check before it forgotten somewhere."""
    async with judges(policy, monkeypatch) as judging:
        for url in combined(300):
            with pytest.raises((httpx2.HTTPError, httpx2.InvalidURL, ValueError)):
                await judging.client.get(url)
            with pytest.raises((CallFailure, aiohttp.ClientError, httpx2.InvalidURL, ValueError, AssertionError)):
                async with judging.calls.call("GET", as_sent(url), headers={}):
                    pass
    assert judging.dialled
    assert policy.permits_all(map(ipaddress.ip_address, judging.dialled))
