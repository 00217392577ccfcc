"""Contract, section 5: every variable reaches its service, from the environment or from a file, and is checked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from flickrhub_auth.settings import AuthSettings
from flickrhub_common.mongo import make_mongo
from flickrhub_common.settings import MongoSettings, Settings, load
from flickrhub_common.topology import CALLBACK_DLQ, FLICKR_DLQ
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_notifier.settings import NotifierSettings
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.envelopes import success
from tests.support.forked import SERVICES, Forking, base_environment, forking
from tests.support.hub_account import ECHO, LOGIN, SEARCH, Account, connector
from tests.support.own_hub import OwnHub, own_hub
from tests.support.run_env import needed, run_dir
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

TAG = "flickr.photos.addTags"


@pytest.fixture(scope="module")
async def tuned(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub with other values for whatever can be seen from outside, its secrets in files."""
    folder = tmp_path_factory.mktemp("tuned")
    secrets = {}
    for name in ("INTERNAL_API_TOKEN", "ENCRYPTION_KEYS", "MONGO_URL"):
        (folder / name).write_text(needed(name) + "\n", encoding="utf-8")
        secrets[f"{name}_FILE"] = str(folder / name)
    sim = needed("SIM_URL")
    settings = {
        "SERVICE_ENV": "tuned-environment",
        "MOCK_FLICKR": "false",
        "FLICKR_OAUTH_URL": f"{sim}/services/oauth",
        "FLICKR_REST_URL": f"{sim}/services/rest/",
        "FLICKR_UPLOAD_URL": f"{sim}/services/upload/",
        "FLICKR_REPLACE_URL": f"{sim}/services/replace/",
        "FLICKR_SIM_URL": "http://127.0.0.1:9",
        "OAUTH_MODE": "callback",
        "JOB_RETRY_ATTEMPTS": "2",
        "JOB_TTL_COMPLETE_DAYS": "3",
        "JOB_TTL_FAIL_DAYS": "5",
        "CACHE_TTL_SECONDS": "2",
        "CACHE_PREFIX": "other:",
        "CALLBACK_RETRY_ATTEMPTS": "2",
        "CALLBACK_RETRY_DELAY_MS": "2000",
        "FLICKR_RATE_LIMIT_PER_SECOND": "0",
        "FLICKR_RATE_LIMIT_PER_HOUR": "0",
        "WORKER_CONCURRENCY": "5",
        "WORKER_REST_CONCURRENCY": "1",
    }
    async with own_hub(settings | secrets, logs=folder, redis_db=9) as running:
        yield running


@pytest.fixture
async def account(tuned: OwnHub, sim: Simulator) -> Account:
    """An account of the tuned hub. It connects at FLICKR_OAUTH_URL, since FLICKR_SIM_URL leads nowhere."""
    return await connector(tuned.client, sim)()


async def test_callback_mode_without_a_callback_url_stays_oob(tuned: OwnHub, sim: Simulator) -> None:
    app = await sim.new_app()
    assert success(await tuned.client.start(app.api_key, app.api_secret))["mode"] == "oob"


async def test_jobs_are_called_at_flickr_rest_url_and_tried_as_often_as_said(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, times=-1, code=105)
    ended = await account.run(ECHO)
    assert ended["state"] == "failed"
    assert len(await sim.calls(account.app, ECHO)) == 2


async def test_the_cache_keeps_for_the_ttl_under_the_prefix(account: Account, tuned: OwnHub, sim: Simulator) -> None:
    await account.run(LOGIN)
    assert (await account.run(LOGIN))["returnvalue"]["from_cache"] is True
    await asyncio.sleep(2.1)
    assert (await account.run(LOGIN))["returnvalue"]["from_cache"] is False


async def test_worker_rest_concurrency_wins_over_worker_concurrency(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, ECHO, times=-1, latency_ms=500)
    started = time.monotonic()
    jobs = [await account.enqueue(ECHO, params={"n": n}) for n in range(4)]
    for job in jobs:
        await account.ended(job)
    assert time.monotonic() - started >= 4 * 0.5  # one after the other, though no rate limit holds them


async def test_ended_jobs_are_kept_for_their_days(account: Account, tuned: OwnHub) -> None:
    good = await account.enqueue(LOGIN)
    bad = await account.enqueue("flickr.photos.getInfo", params={"photo_id": "1"})
    for job in (good, bad):
        await account.ended(job)
    settings = MongoSettings.model_validate({"mongo_url": tuned.mongo_url, "mongo_db": tuned.mongo_db})
    async with make_mongo(settings, service="test") as client:
        jobs = client[tuned.mongo_db]["jobs"]
        expiring = [i["key"] for i in (await jobs.index_information()).values() if i.get("expireAfterSeconds") == 0]
        ((field, _),) = expiring[0]
        for job, days in ((good, 3), (bad, 5)):
            document = await jobs.find_one({"_id": job})
            assert document is not None
            left = document[field].timestamp() - time.time()
            assert days * 86400 - 120 < left <= days * 86400


async def test_callbacks_are_tried_as_often_and_as_late_as_said(
    account: Account, tuned: OwnHub, receiver: CallbackReceiver
) -> None:
    receiver.always(Reply(500))
    job_id = await account.enqueue(ECHO, callback_url=receiver.url("/twice"))
    first, second = await receiver.received(2, "/twice")
    assert 1.6 <= second.at - first.at <= 2.4 + 0.75

    async def buried() -> bool:
        return any(job_id.encode() in letter.body for letter in await tuned.rabbit.peek(CALLBACK_DLQ))

    await eventually(buried, what="the dead letter")
    assert len(receiver.at("/twice")) == 2


async def test_every_log_line_names_the_environment_and_the_service(tuned: OwnHub, account: Account) -> None:
    await account.run(SEARCH, params={"text": "x"})
    for process in tuned.processes:
        lines = [json.loads(line) for line in tuned.log(process).splitlines()]
        assert lines, process
        assert {line["service_env"] for line in lines} == {"tuned-environment"}
        assert all(line["service"].startswith(process) for line in lines), process


async def test_no_secret_stands_in_a_log(tuned: OwnHub, account: Account, sim: Simulator) -> None:
    secret = "callback-secret-nobody-may-read"
    await account.run(ECHO, callback_url="http://127.0.0.1:9/hook?token=private", callback_secret=secret)
    (call,) = await sim.calls(account.app, ECHO)
    hidden = [secret, account.app.api_secret, call["oauth_token"], needed("INTERNAL_API_TOKEN"), "token=private"]
    hidden += [str(URL(needed(name)).password) for name in ("RABBIT_URL", "REDIS_URL") if URL(needed(name)).password]
    for process in tuned.processes:
        for value in hidden:
            assert value not in tuned.log(process), f"{process} logged a secret"


@pytest.fixture(scope="module")
async def switched_off(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub without cache and callbacks."""
    settings = {"CACHE_ENABLED": "false", "CALLBACK_ENABLED": "false", "FLICKR_RATE_LIMIT_PER_SECOND": "0"}
    async with own_hub(settings, logs=tmp_path_factory.mktemp("off"), redis_db=8) as running:
        yield running


async def test_without_the_cache_every_read_goes_to_flickr(switched_off: OwnHub, sim: Simulator) -> None:
    account = await connector(switched_off.client, sim)()
    for _ in range(2):
        assert (await account.run(LOGIN))["returnvalue"]["from_cache"] is False
    assert len(await sim.calls(account.app, LOGIN)) == 2


async def test_without_callbacks_nobody_is_called(
    switched_off: OwnHub, sim: Simulator, receiver: CallbackReceiver
) -> None:
    account = await connector(switched_off.client, sim)()
    await account.run(ECHO, callback_url=receiver.url("/never"))
    await asyncio.sleep(1)
    assert receiver.requests == []
    assert await switched_off.rabbit.depth(CALLBACK_DLQ) == 0
    assert await switched_off.rabbit.depth(FLICKR_DLQ) == 0


def test_the_stack_passes_the_callers_variables_on() -> None:
    """SERVICE_ENV=test, which `make test` sets (deploy/local/test.env), arrives in the stack's own processes."""
    for process in ("gateway", "auth", "executor-rest", "notifier"):
        lines = (run_dir() / "logs" / f"{process}.log").read_text(encoding="utf-8").splitlines()
        first = next(json.loads(line) for line in lines if line.startswith("{"))
        assert first["service_env"] == "test"


GOOD = {
    "MONGO_URL": "mongodb://127.0.0.1:9/",
    "INTERNAL_API_TOKEN": "0123456789abcdef",
    "ENCRYPTION_KEYS": "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}
COMMON_BAD = {"PORT": "http", "LOG_LEVEL": "LOUD", "LOG_FORMAT": "xml", "SHUTDOWN_GRACE_SECONDS": "-1"}
BAD = {
    "gateway": {
        "JOB_TTL_COMPLETE_DAYS": "-1",
        "JOB_TTL_FAIL_DAYS": "soon",
        "CALLBACK_ALLOW_CIDRS": "0.0.0.0/0",
        "ENCRYPTION_KEYS": "k1:c2hvcnQ=",
        "INTERNAL_API_TOKEN": "short",
    },
    "auth": {
        "OAUTH_MODE": "sideways",
        "CALLBACK_URL": "no-url",
        "FLICKR_PERMS": "everything",
        "MOCK_FLICKR": "maybe",
        "FLICKR_TIMEOUT_SECONDS": "0",
    },
    "executor": {
        "TARGET": "download",
        "JOB_RETRY_ATTEMPTS": "0",
        "CACHE_ENABLED": "2",
        "CACHE_TTL_SECONDS": "five",
        "FLICKR_RATE_LIMIT_PER_HOUR": "-5",
        "FLICKR_RATE_LIMIT_PER_SECOND": "fast",
        "WORKER_CONCURRENCY": "0",
        "WORKER_REST_CONCURRENCY": "many",
        "WORKER_UPLOAD_CONCURRENCY": "-1",
        "WORKER_REPLACE_CONCURRENCY": "1.5",
    },
    "notifier": {
        "CALLBACK_RETRY_ATTEMPTS": "none",
        "CALLBACK_ENABLED": "perhaps",
        "CALLBACK_RETRY_DELAY_MS": "-1",
        "CALLBACK_TIMEOUT_SECONDS": "never",
        "CALLBACK_ALLOW_CIDRS": "10.0.0.0/33",
        "CALLBACK_ENDPOINT_CONCURRENCY": "-1",
        "CALLBACK_EXPIRE_HOURS": "0",
    },
}
SETTINGS: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "auth": AuthSettings,
    "executor": ExecutorSettings,
    "notifier": NotifierSettings,
}
REQUIRED = {
    "gateway": ("MONGO_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS"),
    "auth": ("MONGO_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS"),
    "executor": ("INTERNAL_API_TOKEN",),
    "notifier": ("MONGO_URL", "ENCRYPTION_KEYS"),
}


@pytest.fixture(scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Forking]:
    """Starts services."""
    async with forking(*SERVICES, folder=tmp_path_factory.mktemp("refusing")) as starting:
        yield starting


async def said_by(processes: Forking, service: str, environment: dict[str, str], folder: Path) -> str:
    """Start a service that must refuse to, with exit code 1; everything it said."""
    log = folder / "said"
    process = await processes.start(f"flickrhub_{service}", base_environment() | environment, log=log)
    code = await asyncio.wait_for(process.wait(), 40)
    said = log.read_text(encoding="utf-8")
    assert code == 1, said
    return said


def is_one_line_about(name: str, said: str) -> None:
    assert said.count("\n") == 1, (name, said)
    assert said.startswith(f"{name}: "), said


@pytest.mark.parametrize("service", BAD)
async def test_a_bad_value_stops_the_process_with_one_line_that_names_it(
    processes: Forking, service: str, tmp_path: Path
) -> None:
    name, value = next(iter(BAD[service].items()))
    said = await said_by(processes, service, GOOD | {name: value}, tmp_path)
    is_one_line_about(name, said)


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [(service, name, value) for service in BAD for name, value in (COMMON_BAD | BAD[service]).items()],
)
def test_every_variable_is_checked_and_no_value_repeated(
    monkeypatch: pytest.MonkeyPatch, service: str, name: str, value: str
) -> None:
    """The same as above without a process for each, by what the process does first."""
    for variable, text in (GOOD | {name: value}).items():
        monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit) as stopped:
        load(SETTINGS[service])
    said = str(stopped.value)
    assert said.startswith(f"{name}: ")
    assert "\n" not in said
    assert len(value) <= 4 or value not in said, "the value may be a secret"


@pytest.mark.parametrize(("service", "name"), [(service, name) for service in REQUIRED for name in REQUIRED[service]])
async def test_a_missing_required_value_stops_the_service_in_one_line(
    processes: Forking, service: str, name: str, tmp_path: Path
) -> None:
    is_one_line_about(name, await said_by(processes, service, {n: v for n, v in GOOD.items() if n != name}, tmp_path))


async def test_a_secret_file_that_is_not_there_stops_the_service_in_one_line(
    processes: Forking, tmp_path: Path
) -> None:
    environment = GOOD | {"INTERNAL_API_TOKEN_FILE": str(tmp_path / "absent")}
    del environment["INTERNAL_API_TOKEN"]
    is_one_line_about("INTERNAL_API_TOKEN_FILE", await said_by(processes, "executor", environment, tmp_path))
