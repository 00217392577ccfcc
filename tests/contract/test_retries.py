"""Contract, section 3: which failures are tried again, how often and when. With the default settings."""

import asyncio
import itertools
from typing import Any

import pytest

from tests.support.hub_account import ECHO, Account, Connect
from tests.support.simulator import Simulator

MAX_ATTEMPTS = 3
TRANSIENT: dict[str, dict[str, Any]] = {
    "code 0": {"code": 0, "message": "Sorry, the Flickr API service is not currently available."},
    "code 105": {"code": 105},
    "code 106": {"code": 106},
    "code 201": {"code": 201},
    "HTTP 429": {"status": 429},
    "HTTP 500": {"status": 500},
    "HTTP 502": {"status": 502},
    "HTTP 503": {"status": 503},
    "HTTP 504": {"status": 504},
    "cut before": {"drop": "before"},
    "cut after": {"drop": "after"},
    "no json": {"body": "<html><body>oops</body></html>"},
}
PERMANENT: dict[str, dict[str, Any]] = {
    "code 1": {"code": 1, "message": "Photo not found"},
    "code 99": {"code": 99},
    "code 100": {"code": 100},
    "code 111": {"code": 111},
    "code 112": {"code": 112},
    "code 116": {"code": 116},
    "HTTP 404": {"status": 404},
}


def gaps(calls: list[dict[str, Any]]) -> list[float]:
    return [later["at"] - earlier["at"] for earlier, later in itertools.pairwise(calls)]


async def together(
    connect: Connect, sim: Simulator, faults: dict[str, dict[str, Any]], times: int
) -> dict[str, Account]:
    """An account with an app and a fault of its own for each."""
    accounts = {name: await connect() for name in faults}
    for name, account in accounts.items():
        await sim.fault(account.app, ECHO, times=times, **faults[name])
    return accounts


async def ends(accounts: dict[str, Account]) -> dict[str, dict[str, Any]]:
    """Run one job each, all at once, so that their waits overlap."""
    found = await asyncio.gather(*(account.run(ECHO) for account in accounts.values()))
    return dict(zip(accounts, found, strict=True))


async def test_a_transient_failure_is_tried_again_and_the_job_completes(connect: Connect, sim: Simulator) -> None:
    accounts = await together(connect, sim, TRANSIENT, times=1)
    for name, ended in (await ends(accounts)).items():
        assert ended["state"] == "completed", (name, ended)
        assert ended["returnvalue"]["observability"]["attempt"] == 2, name
        assert len(await sim.calls(accounts[name].app, ECHO)) == 2, name


async def test_a_lasting_transient_failure_is_tried_three_times_in_all(connect: Connect, sim: Simulator) -> None:
    accounts = await together(connect, sim, TRANSIENT, times=-1)
    for name, ended in (await ends(accounts)).items():
        assert ended["state"] == "failed", (name, ended)
        assert f"{MAX_ATTEMPTS} attempts" in ended["failedReason"], name
        assert len(await sim.calls(accounts[name].app, ECHO)) == MAX_ATTEMPTS, name


async def test_a_permanent_failure_fails_at_once(connect: Connect, sim: Simulator) -> None:
    accounts = await together(connect, sim, PERMANENT, times=-1)
    for name, ended in (await ends(accounts)).items():
        assert ended["state"] == "failed", (name, ended)
        assert len(await sim.calls(accounts[name].app, ECHO)) == 1, name


async def test_the_waits_grow_from_one_second(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, times=-1, code=105)
    await account.run(ECHO)
    first, second = gaps(await sim.calls(account.app, ECHO))
    assert 0.8 <= first <= 2.2  # 1 s ± 20 %, rounded up by the ladder, and the user's next turn
    assert 1.6 <= second <= 3.4


@pytest.mark.parametrize("status", [429, 503])
async def test_a_longer_retry_after_is_honoured(account: Account, sim: Simulator, status: int) -> None:
    await sim.fault(account.app, status=status, headers={"Retry-After": "4"})
    ended = await account.run(ECHO)
    assert ended["state"] == "completed"
    (gap,) = gaps(await sim.calls(account.app, ECHO))
    assert 4.0 <= gap <= 5.5


async def test_a_shorter_retry_after_does_not_shorten_the_wait(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, status=503, headers={"Retry-After": "0"})
    await account.run(ECHO)
    (gap,) = gaps(await sim.calls(account.app, ECHO))
    assert gap >= 0.8


async def test_a_refused_token_fails_the_job_at_once(account: Account, sim: Simulator) -> None:
    await account.run(ECHO)
    await sim.revoke(account.app)
    ended = await account.run(ECHO, params={"again": "1"})
    assert ended["state"] == "failed"
    assert "98" in ended["failedReason"]
    assert len(await sim.calls(account.app, ECHO)) == 2


async def test_a_write_whose_answer_was_lost_is_not_done_twice(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, "flickr.photosets.create", drop="after")
    found = await account.run("flickr.photos.search", params={"user_id": "me", "per_page": 1})
    photo_id = found["returnvalue"]["flickr"]["photos"]["photo"][0]["id"]
    params = {"title": "once", "primary_photo_id": photo_id}
    ended = await account.run("flickr.photosets.create", params=params)
    assert ended["state"] == "failed"
    assert "lost" in ended["failedReason"]
    assert len(await sim.calls(account.app, "flickr.photosets.create")) == 1
