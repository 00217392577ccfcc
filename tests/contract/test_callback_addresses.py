"""Contract, section 4: where callbacks may go. The stack under test lists loopback and nothing else."""

import socket
from collections.abc import AsyncIterator

import pytest

from flickrhub_common.topology import CALLBACK_DLQ
from tests.support.callback_receiver import CallbackReceiver
from tests.support.envelopes import failure
from tests.support.hub_account import ECHO, Account, connector
from tests.support.own_hub import OwnHub, own_hub
from tests.support.rabbit_admin import Letter
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

PRIVATE = [
    "http://10.0.0.1/",
    "http://172.16.5.4:8080/hook",
    "https://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://167772161/",
    "http://0xa000001/",
    "http://012.0.0.1/",
    "http://10.1/",
    "http://10。0。0。1/",
]
MALFORMED = [
    "ftp://example.com/x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "gopher://example.com/",
    "//example.com/x",
    "/hook",
    "http://",
    "http:///path",
    "http://user:pass@example.com/",
    "http://user@example.com/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://exa mple.com/",
    "http://example.com/\r\nX-Injected: 1",
    "http://example.com\\@10.0.0.1/",
    "http://[::1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://[::1%25lo]/",
    f"http://{'a' * 300}.example.com/",
    "http://a..example.com/",
    "http://%31%32%37.0.0.1/",
]
PUBLIC = ["https://client.example.com/webhook", "http://93.184.216.34:8080/x?a=b#c", "http://[2606:4700::1]/"]
LOOPBACK = ["http://127.0.0.1/", "http://localhost:8080/", "http://[::1]/", "http://127。0。0。1/"]


@pytest.mark.parametrize("url", [*PRIVATE, *MALFORMED])
async def test_such_a_callback_url_is_refused_at_enqueue(account: Account, url: str) -> None:
    reply = await account.hub.enqueue(method=ECHO, user_id=account.user_id, callback_url=url)
    error = failure(reply, 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith("callback_url: ") for sentence in error["details"]), error


@pytest.mark.parametrize(
    "url",
    ["https://client.example.com/webhook", "http://93.184.216.34:8080/x?a=b#c", "http://[2606:4700::1]/", *LOOPBACK],
)
async def test_public_addresses_and_listed_ones_are_taken(account: Account, url: str) -> None:
    await account.enqueue(ECHO, callback_url=url, params={"text": url})


@pytest.fixture(scope="module")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub as in production: no network is listed."""
    settings = {"CALLBACK_ALLOW_CIDRS": "", "CALLBACK_RETRY_ATTEMPTS": "1"}
    async with own_hub(settings, logs=tmp_path_factory.mktemp("strict"), redis_db=10) as running:
        yield running


@pytest.mark.parametrize("url", [*LOOPBACK, PRIVATE[0]])
async def test_without_the_list_loopback_is_refused_too(strict: OwnHub, sim: Simulator, url: str) -> None:
    account = await connector(strict.client, sim)()
    failure(
        await strict.client.enqueue(method=ECHO, user_id=account.user_id, callback_url=url), 400, "ERR_INVALID_REQUEST"
    )


async def test_a_name_that_leads_to_a_private_address_is_refused_when_dialled(
    strict: OwnHub, sim: Simulator, receiver: CallbackReceiver
) -> None:
    name = _name_of_this_machine()
    account = await connector(strict.client, sim)()
    job_id = await account.enqueue(ECHO, callback_url=f"http://{name}:{receiver.port}/inside")

    async def buried() -> list[Letter]:
        return [one for one in await strict.rabbit.peek(CALLBACK_DLQ) if job_id.encode() in one.body]

    (letter,) = await eventually(buried, what="the dead letter")
    assert letter.headers["reason"] == "refused_address"
    assert receiver.requests == []


def _name_of_this_machine() -> str:
    """A name (no literal, not localhost) that this machine resolves to an address of its own."""
    name = socket.gethostname()
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(name, 80, socket.AF_INET)}
    except OSError:
        found = set()
    if name == "localhost" or not any(address.startswith(("127.", "10.", "172.", "192.168.")) for address in found):
        pytest.skip("this machine's own name doesn't lead to a private address, so there is no such name to try")
    return name
