"""Simulator processes, and the public flickrapi package pointed at them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import flickrapi
import pytest
import requests
from flickrapi.auth import OAuthFlickrInterface

from flickr_sim.settings import DEMO_API_KEY, DEMO_API_SECRET
from tests.integration.flickr_sim.process import SimulatorProcess, free_port

LoggedIn = Callable[..., flickrapi.FlickrAPI]


@pytest.fixture(scope="session")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One process for all tests of this folder; it must stop with exit code 0 and have said nothing."""
    log = tmp_path_factory.mktemp("flickr_sim") / "log"
    process = SimulatorProcess(port=free_port(), log=log, settings={})
    yield process
    assert process.stop() == 0
    assert log.read_text() == ""


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess) -> SimulatorProcess:
    """The process with a fresh state."""
    requests.delete(f"{shared_simulator.url}/_sim/state", timeout=10).raise_for_status()
    return shared_simulator


@pytest.fixture
def lasting_simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A process of the test's own, with a state file."""
    settings = {"SIM_STATE_FILE": str(tmp_path / "state.jsonl")}
    process = SimulatorProcess(port=free_port(), log=tmp_path / "log", settings=settings)
    yield process
    assert process.stop() == 0


@pytest.fixture
def flickr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], flickrapi.FlickrAPI]]:
    """Make unmodified flickrapi clients of a simulator: only the URL attributes are changed."""

    def at(url: str, **options: object) -> flickrapi.FlickrAPI:
        monkeypatch.setattr(flickrapi.FlickrAPI, "REST_URL", f"{url}/services/rest/")
        for kind in ("upload", "replace"):
            monkeypatch.setattr(flickrapi.FlickrAPI, f"{kind.upper()}_URL", f"{url}/services/{kind}/")
        for step in ("REQUEST_TOKEN", "AUTHORIZE", "ACCESS_TOKEN"):
            monkeypatch.setattr(OAuthFlickrInterface, f"{step}_URL", f"{url}/services/oauth/{step.lower()}")
        return flickrapi.FlickrAPI(DEMO_API_KEY, DEMO_API_SECRET, store_token=False, **options)

    yield at
    OAuthFlickrInterface.session.close()


@pytest.fixture
def logged_in(flickr: Callable[[str], flickrapi.FlickrAPI]) -> LoggedIn:
    """Log a flickrapi client in by hand: press the page's button, type the code it shows."""

    def log_in(url: str, *, perms: str = "write", account: str = "") -> flickrapi.FlickrAPI:
        api = flickr(url)
        api.get_request_token(oauth_callback="oob")
        address = api.auth_url(perms=perms)
        assert "<button" in requests.get(address, timeout=10).text
        page = requests.post(address, data={"account": account}, timeout=10)
        code = re.search(r'<code id="oauth_verifier">([\d-]+)</code>', page.text)
        assert code is not None, page.text
        api.get_access_token(code[1])
        return api

    return log_in
