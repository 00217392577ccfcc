"""What the executor can be told, and what stops it."""

import pytest

from flickrhub_common.contracts import Target
from flickrhub_common.settings import load
from flickrhub_executor.settings import ExecutorSettings

TOKEN = "internal-token-of-the-test"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ExecutorSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.setenv("INTERNAL_API_TOKEN", TOKEN)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load(ExecutorSettings)
    assert (settings.target, settings.port) == (Target.REST, 3111)
    assert (settings.job_retry_attempts, settings.job_retry_delay_ms) == (3, 1000)
    assert (settings.flickr_rate_limit_per_hour, settings.flickr_rate_limit_per_second) == (3500, 1)
    assert (settings.cache_enabled, settings.cache_ttl_seconds) == (True, 300)
    assert settings.flickr_url("rest") == "https://api.flickr.com/services/rest/"


def test_mock_flickr_points_at_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_FLICKR", "true")
    monkeypatch.setenv("FLICKR_SIM_URL", "http://127.0.0.1:4000/")
    assert load(ExecutorSettings).flickr_url("rest") == "http://127.0.0.1:4000/services/rest/"


@pytest.mark.parametrize(
    ("variables", "target", "concurrency"),
    [
        ({}, "rest", 16),
        ({"WORKER_CONCURRENCY": "4"}, "rest", 4),
        ({"WORKER_CONCURRENCY": "4", "WORKER_REST_CONCURRENCY": "7"}, "rest", 7),
        ({"WORKER_CONCURRENCY": "4", "WORKER_REST_CONCURRENCY": "7"}, "upload", 4),
        ({"WORKER_UPLOAD_CONCURRENCY": "2"}, "upload", 2),
        ({"WORKER_REPLACE_CONCURRENCY": "3"}, "replace", 3),
    ],
)
def test_a_target_s_own_concurrency_goes_before_the_common_one(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], target: str, concurrency: int
) -> None:
    for name, value in {**variables, "TARGET": target}.items():
        monkeypatch.setenv(name, value)
    assert load(ExecutorSettings).concurrency() == concurrency


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TARGET", "photos"),
        ("PORT", "70000"),
        ("JOB_RETRY_ATTEMPTS", "0"),
        ("JOB_RETRY_ATTEMPTS", "many"),
        ("JOB_RETRY_DELAY_MS", "-1"),
        ("FLICKR_RATE_LIMIT_PER_HOUR", "-1"),
        ("FLICKR_RATE_LIMIT_PER_HOUR", "1.5"),
        ("FLICKR_RATE_LIMIT_PER_SECOND", "-0.1"),
        ("FLICKR_RATE_LIMIT_PER_SECOND", "nan"),
        ("FLICKR_RATE_LIMIT_PER_SECOND", "inf"),
        ("FLICKR_TIMEOUT_SECONDS", "0"),
        ("FLICKR_TIMEOUT_SECONDS", "61"),
        ("CACHE_ENABLED", "perhaps"),
        ("CACHE_TTL_SECONDS", "0"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_REST_CONCURRENCY", "2000"),
        ("INTERNAL_API_TOKEN", "short"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        load(ExecutorSettings)
    line = str(stopped.value)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line


def test_the_internal_token_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERNAL_API_TOKEN")
    with pytest.raises(SystemExit, match=r"^INTERNAL_API_TOKEN: "):
        load(ExecutorSettings)
