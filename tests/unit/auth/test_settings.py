"""What auth can be told, and what stops it at start."""

import base64

import pytest

from flickrhub_auth.models import Mode
from flickrhub_auth.settings import AuthSettings
from flickrhub_common.settings import load

NEEDED = {
    "MONGO_URL": "mongodb://localhost/",
    "INTERNAL_API_TOKEN": "0123456789abcdef",
    "ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in AuthSettings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
        monkeypatch.delenv(f"{field.upper()}_FILE", raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_the_defaults() -> None:
    settings = load(AuthSettings)
    assert (settings.port, settings.oauth_mode, settings.flickr_perms) == (3101, Mode.OOB, "write")
    assert settings.callback() is None
    assert settings.flickr_url("oauth") == "https://www.flickr.com/services/oauth"


@pytest.mark.parametrize(
    ("mode", "url", "callback"),
    [
        ("oob", "https://hub.test/cb", None),
        ("callback", "", None),
        ("callback", "https://hub.test/cb", "https://hub.test/cb"),
        ("callback", "my-app://cb", "my-app://cb"),
    ],
)
def test_flickr_calls_back_only_if_both_are_set(
    monkeypatch: pytest.MonkeyPatch, mode: str, url: str, callback: str | None
) -> None:
    monkeypatch.setenv("OAUTH_MODE", mode)
    monkeypatch.setenv("CALLBACK_URL", url)
    assert load(AuthSettings).callback() == callback


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLICKR_PERMS", "everything"),
        ("OAUTH_MODE", "pigeon"),
        ("CALLBACK_URL", "test"),
        ("CALLBACK_URL", "https://hub.test/a b"),
        ("FLICKR_TIMEOUT_SECONDS", "-7.5"),
        ("FLICKR_OAUTH_URL", "www.flickr.test/services/oauth"),
        ("FLICKR_REST_URL", "https://"),
        ("FLICKR_SIM_URL", "ftp://127.0.0.1:3131"),
        ("PORT", "70000"),
        ("ENCRYPTION_KEYS", "k1:c2hvcnQ="),
        ("INTERNAL_API_TOKEN", "short"),
        ("INTERNAL_API_TOKEN", "0123456789abcdef-ü"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        load(AuthSettings)
    line = str(caught.value)
    assert line.startswith(f"{variable}: ")
    assert "\n" not in line
    assert value not in line
