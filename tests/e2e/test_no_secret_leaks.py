"""Secrets are in no file of MongoDB, RabbitMQ and Redis, in no log, reply, callback, trace or command line.

A hub of its own, at log level DEBUG, gets canaries for secrets and goes through good days and bad ones. Everything that
is searched for them also holds a marker that is no secret, which the same search must find.
"""

import asyncio
import base64
import contextlib
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.mongo import make_mongo
from flickrhub_common.redis import make_redis
from flickrhub_common.sealing import KeyRing
from flickrhub_common.settings import MongoSettings, RedisSettings
from flickrhub_common.topology import CALLBACK_DLQ, FLICKR_DLQ
from tests.support.callback_receiver import CallbackReceiver, Reply, callback_receiver
from tests.support.canaries import Search
from tests.support.flickrhub_client import flickrhub
from tests.support.hub_account import SEARCH, Account
from tests.support.own_hub import OwnHub, own_hub, stop
from tests.support.photographs import jpeg
from tests.support.run_env import needed, run_dir
from tests.support.simulator import FlickrApp, Simulator, simulator
from tests.support.waiting import eventually

pytestmark = [pytest.mark.few, pytest.mark.timeout(280)]

MARKER = str(uuid.uuid4())
"""No secret: in every job, the id of every request, and the name of the deployment."""
METHOD = SEARCH
"""Not flickr.test.echo: Flickr itself gives back there what the call was signed with, but for the secrets."""
REDIS_DB = 9


def canary() -> str:
    """A secret with characters that every encoding writes in its own way."""
    return f'{secrets.token_hex(6)} "ü/+&=%{secrets.token_hex(6)}'


@dataclass
class Scene:
    """The hub, its outer world, what was planted, and every reply that was seen."""

    hub: OwnHub
    sim: Simulator
    receiver: CallbackReceiver
    collector: CallbackReceiver
    planted: dict[str, str | bytes]
    replies: list[bytes] = field(default_factory=list)

    async def note(self, response: httpx2.Response) -> None:
        """Keep a reply, unless the simulator's page gave it: a verifier is shown there."""
        if response.url.path.startswith("/services/"):
            return
        head = "\r\n".join(f"{name}: {value}" for name, value in response.headers.multi_items())
        self.replies.append(f"{response.status_code} {head}\r\n\r\n".encode() + await response.aread())

    def plant(self, name: str, secret: str | None = None) -> str:
        """A canary of this name."""
        self.planted[name] = secret or canary()
        return str(self.planted[name])


@contextlib.asynccontextmanager
async def users(rabbit: str, mongo: str, redis: str) -> AsyncIterator[None]:
    """A user ``canary`` of each server, with these passwords; the tests' own URLs are theirs meanwhile."""
    management = httpx2.AsyncClient(base_url=needed("RABBIT_MANAGEMENT_URL"), trust_env=False)
    admin = make_redis(RedisSettings(redis_url=SecretStr(needed("REDIS_URL"))), max_connections=1)
    client = make_mongo(MongoSettings(mongo_url=SecretStr(needed("MONGO_URL"))), service="test")
    urls = {name: URL(needed(name)) for name in ("RABBIT_URL", "MONGO_URL", "REDIS_URL")}
    passwords = {"RABBIT_URL": rabbit, "MONGO_URL": mongo, "REDIS_URL": redis}
    async with management, client:
        user = {"password": rabbit, "tags": "administrator"}
        (await management.put("/api/users/canary", json=user)).raise_for_status()
        await admin.acl_setuser(
            "canary", enabled=True, passwords=[f"+{redis}"], keys=["*"], channels=["*"], commands=["+@all"]
        )
        await client.admin.command("createUser", "canary", pwd=mongo, roles=["root"])
        try:
            with pytest.MonkeyPatch.context() as patch:
                for name, url in urls.items():
                    patch.setenv(name, str(url.with_user("canary").with_password(passwords[name])))
                yield
        finally:
            await client.admin.command("dropUser", "canary")
            await admin.acl_deluser("canary")
            await admin.aclose()
            (await management.delete("/api/users/canary")).raise_for_status()


@pytest.fixture
async def scene(tmp_path: Path, receiver: CallbackReceiver) -> AsyncIterator[Scene]:
    """A hub whose secrets are all canaries."""
    if not (run_dir() / "data" / "mongo").is_dir():
        pytest.skip("the servers' files aren't here")
    key = secrets.token_bytes(32)
    passwords = {f"password of {name}": secrets.token_hex(16) for name in ("RabbitMQ", "MongoDB", "Redis")}
    planted: dict[str, str | bytes] = {
        "key of ENCRYPTION_KEYS": key,
        "INTERNAL_API_TOKEN": secrets.token_urlsafe(24),
        "secret of the S3 access key": secrets.token_hex(20),
        **passwords,
    }
    async with (
        users(*passwords.values()),
        callback_receiver() as collector,
        simulator(needed("SIM_URL")) as sim,
        own_hub(
            {
                "ENCRYPTION_KEYS": f"canary1:{base64.b64encode(key).decode()}",
                "INTERNAL_API_TOKEN": str(planted["INTERNAL_API_TOKEN"]),
                "UPLOAD_S3_ENDPOINT": "http://127.0.0.1:9",
                "UPLOAD_STORE_URL": "gridfs:",
                "UPLOAD_S3_ACCESS_KEY_ID": "AKIACANARY",
                "UPLOAD_S3_SECRET_ACCESS_KEY": str(planted["secret of the S3 access key"]),
                "SERVICE_ENV": MARKER,
                "LOG_LEVEL": "DEBUG",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
                "OTEL_BSP_SCHEDULE_DELAY": "50",  # or those that are killed take what they know with them
                "FLICKR_RATE_LIMIT_PER_SECOND": "0",
                "JOB_RETRY_DELAY_MS": "10",
                "CALLBACK_RETRY_DELAY_MS": "10",
            },
            logs=tmp_path,
            redis_db=REDIS_DB,
            targets=("rest", "upload"),
        ) as hub,
    ):
        scene = Scene(hub, sim, receiver, collector, planted)
        hub.client.http.event_hooks = {"response": [scene.note]}
        hub.client.http.headers["X-Request-ID"] = MARKER
        yield scene


async def test_no_secret_is_anywhere_it_may_not_be(scene: Scene, tmp_path: Path) -> None:
    account = await connecting(scene)
    await good_days_and_bad_ones(scene, account)
    await nonsense(scene, account)
    await crashes(scene, account)
    await revoked(scene, account)
    lines = command_lines(scene)
    for process in scene.hub.processes.values():
        await stop(process)  # what isn't exported yet is exported now
    await write_everything()

    planted = scene.planted | {"the marker": MARKER, "a program": "flickrhub_gateway"}
    (tmp_path / "scratch").mkdir()
    search = Search(planted, scratch=tmp_path / "scratch")
    data, logs = run_dir() / "data", run_dir() / "logs"
    files = {"MongoDB": [data / "mongo" / "db"], "RabbitMQ": [data / "rabbitmq" / "mnesia"]}
    files |= {"Redis": sorted((data / "redis").glob("append*")), "servers' logs": [logs]}
    files |= {f"log of {name}": [tmp_path / f"{name}.log"] for name in scene.hub.processes}
    found = {where: set().union(*(await search.in_files(paths)).values()) for where, paths in files.items()}
    found["HTTP replies"] = search.in_bytes(b"\n".join(scene.replies))
    callbacks = (one.body + str(one.headers).encode() for one in scene.receiver.requests)
    found["callbacks"] = search.in_bytes(b"\n".join(callbacks))
    found["traces"] = search.in_bytes(b"\n".join(one.body for one in scene.collector.at("/v1/traces")))
    found["command lines"] = search.in_bytes(b"\n".join(lines))

    blind = [where for where, names in found.items() if not names & {"the marker", "a program"}]
    assert blind == ["servers' logs"], "the search doesn't find what is surely there"
    leaks = {where: sorted(names & scene.planted.keys()) for where, names in found.items()}
    assert {where: names for where, names in leaks.items() if names} == {}


async def connecting(scene: Scene) -> Account:
    """The OAuth walk, with everything that can go wrong in it."""
    hub, sim = scene.hub.client, scene.sim
    app = FlickrApp(secrets.token_hex(16), scene.plant("api_secret", secrets.token_hex(8)))
    (await sim.http.post("/_sim/apps", json={"api_key": app.api_key, "api_secret": app.api_secret})).raise_for_status()
    await hub.start(app.api_key, scene.plant("an api_secret that is wrong", secrets.token_hex(8)))
    await sim.order({"kind": "oauth", "method": "request_token"}, status=503, body="oauth_problem=" + app.api_secret)
    await hub.start(app.api_key, app.api_secret)
    started = (await hub.start(app.api_key, app.api_secret)).raise_for_status().json()
    await pending_secrets(scene)
    verifier = scene.plant("verifier", await hub.approve(started["authorize_url"]))
    wrong = scene.plant("a verifier that is wrong", f"{secrets.randbelow(900) + 100}-{secrets.token_hex(2)}-999")
    token = started["oauth_token"]
    await hub.complete(token, wrong)
    await hub.http.get("/api/v1/auth/callback", params={"oauth_token": token, "oauth_verifier": wrong})
    await hub.complete(token, verifier, state=scene.plant("a state that is wrong"))
    await sim.order({"kind": "oauth", "method": "access_token"}, status=503, body=f"oauth_verifier={verifier}")
    await hub.complete(token, verifier, state=started["state"])
    query = {"oauth_token": token, "oauth_verifier": verifier, "state": started["state"]}
    done = (await hub.http.get("/api/v1/auth/callback", params=query)).raise_for_status().json()
    account = Account(done["user_id"], app, "", hub)
    await lent_secrets(scene, account)
    return account


async def pending_secrets(scene: Scene) -> None:
    """What auth keeps of a walk under way, opened with the hub's own key."""
    ring = KeyRing.parse(scene.hub.environment["ENCRYPTION_KEYS"])
    redis = make_redis(RedisSettings(redis_url=SecretStr(scene.hub.redis_url)), max_connections=1)
    (found,) = await redis.keys("oauth:request:*")
    key = found.decode() if isinstance(found, bytes) else found
    entry = json.loads(await redis.hget(key, "entry") or b"")
    await redis.aclose()
    sealed = entry["request_secret"]
    scene.plant("secret of the request token", ring.open(sealed, purpose="pending.request_secret", owner=key))


async def lent_secrets(scene: Scene, account: Account) -> None:
    """The token's secrets as executors are lent them; and what somebody without the credential gets to see."""
    token = str(scene.planted["INTERNAL_API_TOKEN"])
    path = f"/internal/v1/connections/{account.user_id}/lend"
    async with flickrhub(scene.hub.urls["auth"]) as auth:
        good = await auth.http.post(path, headers={"Authorization": f"Bearer {token}"})
        for name in ("oauth_token", "oauth_token_secret"):
            scene.plant(name, good.raise_for_status().json()["data"][name])
        auth.http.event_hooks = {"response": [scene.note]}
        wrong = scene.plant("an internal credential that is wrong", secrets.token_hex(16))
        for name, value in (("Accept", "*/*"), ("Authorization", f"Bearer {wrong}"), ("X-Internal-Token", token)):
            assert (await auth.http.post(path, headers={name: value})).status_code == httpx2.codes.UNAUTHORIZED


async def good_days_and_bad_ones(scene: Scene, account: Account) -> None:
    """Success, retry, failure, dead letters; callbacks that arrive, fail, are refused or can't be signed."""
    sim, receiver, app = scene.sim, scene.receiver, account.app
    secret = scene.plant("callback_secret")
    encoded = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    standard = scene.plant("callback_secret in base64", encoded)
    unusable = scene.plant("a callback_secret that can't sign", f"whsec_{secrets.token_hex(8)}!not base64")
    userinfo = scene.plant("password in a callback_url", secrets.token_hex(8))
    await sim.fault(app, "flickr.people.getInfo", status=500, body="oauth_token=" + str(scene.planted["oauth_token"]))
    await sim.fault(app, "flickr.photos.getInfo", times=-1, code=105, message=f"secret={app.api_secret}"[:7])
    receiver.script("/never", *[Reply(500, body=b"no")] * 3)
    receiver.script("/later", Reply(503), Reply(500, drop=True))
    jobs = [
        await account.enqueue(
            method,
            params={"text": MARKER},
            meta={"marker": MARKER},
            callback_url=receiver.url(path),
            callback_secret=given,
        )
        for method, path, given in (
            (METHOD, "/ok", secret),
            (METHOD, "/later", standard),
            ("flickr.people.getInfo", "/retried", secret),
            ("flickr.photos.getInfo", "/failed", secret),
            (METHOD, "/never", secret),
        )
    ]
    photo = await account.hand_over(jpeg(1500))
    params = {"photo_ref": photo, "title": MARKER}
    jobs.append(await account.enqueue_upload(params, callback_url=receiver.url("/up"), callback_secret=secret))
    refused: dict[str, Any] = {
        "callback_secret": secret,
        "params": {"text": MARKER},
        "user_id": account.user_id,
        "method": METHOD,
    }
    for url in (f"http://me:{userinfo}@127.0.0.1/", "http://10.0.0.1/", "http://[fe80::1]/", "ftp://x/"):
        reply = await account.hub.enqueue(callback_url=url, **refused)
        assert reply.status_code == httpx2.codes.BAD_REQUEST
    reply = await account.hub.enqueue(**{**refused, "callback_url": receiver.url("/x"), "callback_secret": unusable})
    assert reply.status_code == httpx2.codes.BAD_REQUEST
    jobs.append(await account.hub.accepted(callback_url="http://hub.invalid:9/", **refused))
    for job_id in jobs:
        await account.ended(job_id)
    for path, count in {"/ok": 1, "/later": 3, "/retried": 1, "/failed": 1, "/never": 3, "/up": 1}.items():
        await receiver.received(count, path)
    await eventually(lambda: scene.hub.rabbit.depth(FLICKR_DLQ), what="the dead letter of a job")

    async def buried() -> bool:
        return await scene.hub.rabbit.depth(CALLBACK_DLQ) >= 2

    await eventually(buried, what="the dead letters of callbacks")


async def nonsense(scene: Scene, account: Account) -> None:
    """Secrets where they don't belong, in requests that are refused."""
    hub, secret = scene.hub.client, scene.plant("a secret in a wrong place")
    job = {"method": METHOD, "user_id": account.user_id}
    bodies: list[tuple[str, Any]] = [
        ("/api/v1/auth/start", {"api_key": account.app.api_key, "api_secret": [secret]}),
        ("/api/v1/auth/start", {"api_key": account.app.api_key, "api_secret": secret * 20}),
        ("/api/v1/auth/start", {"api_key": {"api_secret": secret}, "api_secret": 5}),
        ("/api/v1/auth/start", {"api_key": secret, "api_secret": secret}),
        ("/api/v1/auth/complete", {"oauth_token": secret, "oauth_verifier": secret}),
        ("/api/v1/auth/complete", {"oauth_token": [secret], "oauth_verifier": {"a": secret}, "state": 1}),
        ("/api/v1/flickr/rest", {**job, "callback_secret": {"is": secret}}),
        ("/api/v1/flickr/rest", {**job, "api_secret": secret}),
        ("/api/v1/flickr/rest", {**job, "callback_url": secret}),
        ("/api/v1/flickr/rest", {**job, "callback_url": f"http://127.0.0.1:{secret}/"}),
        ("/api/v1/flickr/rest", {**job, "params": {"oauth_token_secret": secret}}),
        ("/api/v1/flickr/rest", {**job, "params": [secret]}),
        ("/api/v1/flickr/rest", {**job, "method": secret}),
        ("/api/v1/flickr/rest", {**job, "target": secret}),
        ("/api/v1/flickr/rest", {**job, "user_id": secret}),
        ("/api/v1/flickr/rest", {**job, "meta": secret}),
        ("/api/v1/flickr/jobs/status", {"job_id": secret, "user_id": secret}),
        ("/api/v1/uploads/presign", {"user_id": secret, "content_type": secret}),
    ]
    for path, body in bodies:
        reply = await hub.post(path, body)
        assert 400 <= reply.status_code < 503, (path, list(body), reply.status_code)
    text = json.dumps({**job, "callback_secret": secret})
    for broken in (text[:-1], text + text, text.encode("utf-16")):
        await hub.post("/api/v1/flickr/rest", broken, {"Content-Type": "application/json"})
    await hub.post("/api/v1/flickr/rest", text, {"Content-Type": "text/plain"})
    hexed = scene.plant("a secret in a header or path", secrets.token_hex(12))
    headers = {"X-Request-ID": hexed, "Authorization": f"Bearer {hexed}", "Cookie": f"api_secret={hexed}"}
    for method, path in (
        ("GET", f"/api/v1/{hexed}"),
        ("GET", f"/health?callback_secret={hexed}"),
        (hexed.upper(), "/"),
    ):
        await hub.http.request(method, path, headers=headers)
    await hub.http.post("/api/v1/uploads", params={"user_id": hexed, "api_secret": hexed}, content=b"x")
    for queue in ("flickr_rest", "notifier_job_events"):
        await scene.hub.rabbit.publish(b'{"marker":"%s"}' % MARKER.encode(), key=queue, type="job.requested")


async def crashes(scene: Scene, account: Account) -> None:
    """`kill -9` of each process with work under way, and its successor takes over."""
    secret = scene.plant("callback_secret of a job whose processes died")
    await scene.sim.fault(account.app, METHOD, times=3, latency_ms=400)
    scene.receiver.always(Reply(200, delay=0.3))
    for n in range(6):
        job = {"params": {"text": MARKER, "page": n + 1}, "callback_url": scene.receiver.url("/crashed")}
        await account.enqueue(METHOD, callback_secret=secret, **job)
    await scene.receiver.received(1, "/crashed")
    start = asyncio.gather(account.hub.start(account.app.api_key, account.app.api_secret), return_exceptions=True)
    await asyncio.gather(*(scene.hub.kill(name) for name in ("executor", "notifier", "gateway", "auth")))
    await start
    scene.receiver.always(Reply(200))
    await scene.hub.start()
    job_id = await account.enqueue(
        METHOD, params={"text": MARKER}, callback_url=scene.receiver.url("/after"), callback_secret=secret
    )
    await account.ended(job_id, within=40)
    await scene.receiver.received(1, "/after")


async def revoked(scene: Scene, account: Account) -> None:
    """Flickr takes the token back."""
    await scene.sim.revoke(account.app)
    url, secret = scene.receiver.url("/revoked"), str(scene.planted["callback_secret"])
    job_id = await account.enqueue(METHOD, params={"page": 50}, callback_url=url, callback_secret=secret)
    assert (await account.ended(job_id))["state"] == "failed"
    await scene.receiver.received(1, "/revoked")


def command_lines(scene: Scene) -> list[bytes]:
    """How every process of the hub and of the stack was started, as any user of the machine can see it."""
    pids = [process.pid for process in scene.hub.processes.values()]
    pids += [int(file.read_text()) for file in (run_dir() / "pids").glob("*.pid")]
    return [line for pid in pids for line in read_if_there(Path(f"/proc/{pid}/cmdline"))]


def read_if_there(path: Path) -> Iterable[bytes]:
    with contextlib.suppress(OSError):
        yield path.read_bytes().replace(b"\0", b" ")


async def write_everything() -> None:
    """Have MongoDB and Redis write what they hold in memory; RabbitMQ has it on disk when it confirms."""
    async with make_mongo(MongoSettings(mongo_url=SecretStr(needed("MONGO_URL"))), service="test") as mongo:
        await mongo.admin.command("fsync")
    redis = make_redis(RedisSettings(redis_url=SecretStr(needed("REDIS_URL"))), max_connections=1)
    await redis.set("canary", MARKER)  # what was written before is on disk with it: the stack's Redis syncs each write
    await redis.delete("canary")
    await redis.aclose()
