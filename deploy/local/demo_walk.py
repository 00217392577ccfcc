"""The steps of the demo, in order."""

import base64
import hashlib
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deploy.local.demo_hub import Hub, dead_letters_of, hub
from deploy.local.demo_receiver import Receiver, listening
from deploy.local.demo_screen import Screen, StepFailed

SEARCH, REFUSED_ONCE, HOPELESS = "flickr.photos.search", "flickr.test.login", "flickr.test.null"
UPLOAD = "the upload"
PHOTO = Path(__file__).with_name("demo_photo.jpg")
PATIENCE_SECONDS = 30.0


def walk(screen: Screen, env: dict[str, str]) -> None:
    """Show the main job on the stack that `env` describes. Raises StepFailed at the first step that doesn't succeed."""
    # Left in reverse: with the connections closed, no follower goes on after a step that failed.
    with ThreadPoolExecutor(thread_name_prefix="follow") as followers, hub(env) as asked, listening() as receiver:
        _Walk(screen, asked, receiver, followers, rabbit_url=env["RABBIT_URL"]).all_steps()


class _Walk:
    """What one step leaves for the next. Jobs are followed from the moment they are accepted, each by a thread."""

    def __init__(
        self, screen: Screen, asked: Hub, receiver: Receiver, followers: ThreadPoolExecutor, *, rabbit_url: str
    ) -> None:
        self._screen = screen
        self._hub = asked
        self._receiver = receiver
        self._followers = followers
        self._followed: dict[str, Future[tuple[list[str], dict[str, Any]]]] = {}
        self._rabbit_url = rabbit_url
        self._secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self._user_id = ""

    def all_steps(self) -> None:
        """From the OAuth walk to the dead letter."""
        api_key = self._connect()
        self._hub.order_fault(api_key, REFUSED_ONCE, times=1, code=105, latency_ms=300)
        self._hub.order_fault(api_key, HOPELESS, times=-1, code=105)
        search = self._enqueue(SEARCH, "a job", {"text": "harbour", "per_page": 5})
        refused = self._enqueue(REFUSED_ONCE, "a call that Flickr will refuse at first, with its error 105", {})
        hopeless = self._enqueue(HOPELESS, "a call that Flickr will refuse every time", {})
        sha256, upload = self._upload(api_key)
        self._follow(search, SEARCH, expected=[["queued", "completed"], ["completed"]])
        self._follow(refused, REFUSED_ONCE, expected=[["queued", "retrying", "completed"]])
        self._verify(search, SEARCH, state="completed")
        self._verify(refused, REFUSED_ONCE, state="completed")
        self._follow(hopeless, HOPELESS, expected=[["queued", "retrying", "failed"]])
        self._show_dead_letter(hopeless)
        self._verify(hopeless, HOPELESS, state="failed")
        photo_id = self._follow(upload, UPLOAD, expected=[["queued", "retrying", "completed"]])
        self._find_photo(photo_id, sha256)
        self._verify(upload, UPLOAD, state="completed")

    def _connect(self) -> str:
        """The OAuth walk, out of band: Flickr shows a code, the user types it in. Returns the app's key."""
        app = self._hub.register_app()
        with self._screen.step("Asked for access to a Flickr account") as tell:
            started = self._hub.post("/auth/start", app)
            tell(f"the owner is sent to Flickr, mode {started['mode']}")
        if started["mode"] != "oob":
            raise StepFailed("OAUTH_MODE=callback needs a browser: run the demo without it")
        with self._screen.step("The owner pressed the button on Flickr's page") as tell:
            verifier = self._hub.press_the_button(started["authorize_url"])
            tell(f"it shows the code {verifier}")
        with self._screen.step("Connected the account") as tell:
            done = {"oauth_token": started["oauth_token"], "oauth_verifier": verifier, "state": started["state"]}
            self._user_id = self._hub.post("/auth/complete", done)["user_id"]
            tell(f"user_id {self._user_id}")
        return app["api_key"]

    def _upload(self, api_key: str) -> tuple[str, str]:
        """Hand a photo over and enqueue its upload, whose answer gets lost; the photo's sha256 and the job's id."""
        photo = _stamped(PHOTO.read_bytes())
        sha256 = hashlib.sha256(photo).hexdigest()
        with self._screen.step(f"Handed over a photograph of {len(photo):,} bytes") as tell:
            given = self._hub.hand_over(photo, user_id=self._user_id, filename="harbour at dusk.jpg")
            if (given["bytes"], given["sha256"]) != (len(photo), sha256):
                raise StepFailed(f"the gateway received something else: {given}")
            tell(f"photo_ref {given['photo_ref']}")
        self._hub.lose_the_answer_of_an_upload(api_key)
        params = {"photo_ref": given["photo_ref"], "title": "Harbour at dusk", "tags": ["harbour", "blue hour"]}
        what = "while Flickr will store the photo and lose its answer"
        return sha256, self._enqueue(UPLOAD, what, params, target="upload")

    def _find_photo(self, photo_id: str, sha256: str) -> None:
        with self._screen.step("Found the photograph at Flickr, once") as tell:
            found = self._hub.photos_at_flickr(sha256=sha256)
            if [photo["id"] for photo in found] != [photo_id]:
                raise StepFailed(f"Flickr has {len(found)} photos with these bytes, the job says {photo_id}")
            tell(f"photo {photo_id}, “{found[0]['title']}”")
            tell(f"sha256: {sha256}, as handed over")

    def _enqueue(self, method: str, what: str, params: dict[str, Any], *, target: str = "rest") -> str:
        with self._screen.step(f"Enqueued {method}, {what}") as tell:
            call = {"method": method} if target == "rest" else {"target": target}
            body = {**call, "params": params, "user_id": self._user_id, "meta": {"demo": method}}
            callback = {"callback_url": self._receiver.url, "callback_secret": self._secret}
            job_id: str = self._hub.post("/flickr/rest", body | callback)["job_id"]
            self._followed[job_id] = self._followers.submit(
                self._hub.follow, job_id, self._user_id, seconds=PATIENCE_SECONDS
            )
            tell(f"202, job {job_id}")
        return job_id

    def _follow(self, job_id: str, method: str, *, expected: list[list[str]]) -> str:
        """Tell how a job went; the id of the photo it uploaded, if it did."""
        with self._screen.step(f"Followed {method}") as tell:
            states, data = self._followed[job_id].result()
            if states not in expected:
                reason = f" ({data['failedReason']})" if data["failedReason"] else ""
                raise StepFailed(f"the job went {' → '.join(states)}{reason}, not {' → '.join(expected[0])}")
            tell(f"{' → '.join(states)}; {_told(data)}")
        flickr = (data["returnvalue"] or {}).get("flickr", {})
        return str(flickr.get("photoid", {}).get("_content", ""))

    def _verify(self, job_id: str, method: str, *, state: str) -> None:
        with self._screen.step(f"Received the callback of {method}") as tell:
            callback = self._receiver.callback_of(job_id, secret=self._secret, seconds=PATIENCE_SECONDS)
            if callback["state"] != state or callback["meta"] != {"demo": method}:
                raise StepFailed(f"it doesn't say what happened: {str(callback)[:300]}")
            tell(f"{state} after {_attempts(callback['attempts_made'])}, both signatures verified")

    def _show_dead_letter(self, job_id: str) -> None:
        with self._screen.step("Found the job that gave up in flickr_dlq, once") as tell:
            letters = dead_letters_of(job_id, rabbit_url=self._rabbit_url)
            if len(letters) != 1:
                raise StepFailed(f"flickr_dlq holds {len(letters)} letters of job {job_id}")
            (headers,) = letters
            tell(f"after {_attempts(headers['attempts'])}")
            tell(f"reason: {headers['reason']}")
            tell(f"trace_id: {headers['trace_id']}")


def _stamped(jpeg: bytes) -> bytes:
    """The photo with a comment of this run's own inside, so that every demo uploads one that Flickr hasn't seen."""
    comment = f"FlickrHub demo {secrets.token_hex(8)}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _told(data: dict[str, Any]) -> str:
    """What came of a job, in a few words."""
    if data["state"] == "failed":
        return str(data["failedReason"])
    flickr = data["returnvalue"]["flickr"]
    if "photoid" in flickr:
        return f"photo {flickr['photoid']['_content']}"
    if "photos" in flickr:
        return f"{len(flickr['photos']['photo'])} of {flickr['photos']['total']} photos"
    return f"Flickr says hello to {flickr['user']['username']['_content']}"
