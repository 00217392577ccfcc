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
        ({}, "rest", 32),
        ({}, "upload", 16),
        ({}, "replace", 16),
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
    for name, value in {**variables, "TARGET": target, "MONGO_URL": "mongodb://localhost/"}.items():
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
        ("UPLOAD_TIMEOUT_SECONDS", "0"),
        ("UPLOAD_TIMEOUT_SECONDS", "1501"),
        ("UPLOAD_MIN_BYTES_PER_SECOND", "0"),
        ("UPLOAD_MIN_BYTES_PER_SECOND", "inf"),
        ("UPLOAD_LOOK_SECONDS", "soon"),
        ("UPLOAD_LOOK_SECONDS", "1"),
        ("UPLOAD_LOOK_SECONDS", "1,"),
        ("UPLOAD_LOOK_SECONDS", "1,-1"),
        ("UPLOAD_LOOK_SECONDS", "1,nan"),
        ("UPLOAD_LOOK_SECONDS", "1,inf"),
        ("UPLOAD_LOOK_SECONDS", "1,3601"),
        ("UPLOAD_LOOK_SECONDS", ",".join("1" * 21)),
        ("UPLOAD_ALLOW_CIDRS", "0.0.0.0/0"),
        ("UPLOAD_STORE_URL", "file:///tmp"),
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


def test_the_waits_before_looks_are_numbers_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(ExecutorSettings).look_waits() == (1, 4, 15, 40)
    monkeypatch.setenv("UPLOAD_LOOK_SECONDS", " 0, 0.25 ")
    assert load(ExecutorSettings).look_waits() == (0, 0.25)


@pytest.mark.parametrize("target", ["upload", "replace"])
def test_mongo_s_url_is_required_where_photos_lie_in_mongo(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("TARGET", target)
    with pytest.raises(SystemExit, match=f"^MONGO_URL: is needed for target {target} while UPLOAD_STORE_URL is gridfs"):
        load(ExecutorSettings)
    monkeypatch.setenv("UPLOAD_STORE_URL", "s3://photos")
    assert load(ExecutorSettings).mongo_url is None


def test_mongo_s_url_isn_t_asked_of_the_rest_executor() -> None:
    assert load(ExecutorSettings).mongo_url is None
