"""Settings: typed, from the environment or from files, and a bad one ends the process with one line about it."""

import base64
import os
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings

from flickrhub_auth.settings import AuthSettings
from flickrhub_common.setting_files import LARGEST_BYTES
from flickrhub_common.settings import (
    CLOSING_SECONDS,
    CallbackTargetSettings,
    FlickrSettings,
    InternalSettings,
    MongoSettings,
    PhotoStoreSettings,
    RabbitSettings,
    RedisSettings,
    SealingSettings,
    Settings,
    UploadSourceSettings,
    load,
)
from flickrhub_dlq.settings import DlqSettings
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_notifier.settings import NotifierSettings

KEY = "k1:" + base64.b64encode(bytes(32)).decode()
SECRET = "hunter2-do-not-repeat"
VALUES = {
    "RABBIT_URL": "amqp://user:pw@rabbit/",
    "MONGO_URL": "mongodb://user:pw@mongo/",
    "REDIS_URL": "redis://:pw@redis/0",
    "INTERNAL_API_TOKEN": "i" * 16,
    "ENCRYPTION_KEYS": KEY,
    "UPLOAD_S3_SECRET_ACCESS_KEY": "s3",
}


def secret_names(settings: type[BaseSettings]) -> list[str]:
    """The settings of a class that hold a secret."""
    return [name for name, field in settings.model_fields.items() if "SecretStr" in str(field.annotation)]


class Everything(
    RabbitSettings,
    MongoSettings,
    RedisSettings,
    InternalSettings,
    SealingSettings,
    CallbackTargetSettings,
    UploadSourceSettings,
    FlickrSettings,
    Settings,
):
    """What a service that needs all of it would have."""

    tags: list[str] = Field(default_factory=list, description="A value of more than one part.")


SECRETS = [name.upper() for name in secret_names(Everything)]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is required; whatever the caller's shell holds is out of it."""
    for name in {*Everything.model_fields, *PhotoStoreSettings.model_fields}:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.setenv("MONGO_URL", "mongodb://localhost/")
    monkeypatch.setenv("INTERNAL_API_TOKEN", "t" * 16)
    monkeypatch.setenv("ENCRYPTION_KEYS", KEY)


def test_what_is_not_given_has_its_default() -> None:
    settings = load(Everything)
    assert (settings.port, settings.log_level, settings.service_env) == (3000, "INFO", "local")
    assert settings.flickr_url("rest") == "https://api.flickr.com/services/rest/"
    assert settings.shutdown_grace_seconds == 20
    assert settings.http_grace_seconds() + settings.drain_seconds() + CLOSING_SECONDS == pytest.approx(20)


def test_the_environment_wins_over_a_default_and_types_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    monkeypatch.setenv("MOCK_FLICKR", "true")
    monkeypatch.setenv("FLICKR_TIMEOUT_SECONDS", "2.5")
    settings = load(Everything)
    assert (settings.port, settings.mock_flickr, settings.flickr_timeout_seconds) == (8080, True, 2.5)


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("RABBIT_URL", "")
    assert load(Everything).port == 3000


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_value_can_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"amqp://user:pw@rabbit/" + ending.encode())
    monkeypatch.setenv("RABBIT_URL_FILE", str(file))
    assert load(Everything).rabbit_url.get_secret_value() == "amqp://user:pw@rabbit/"


@pytest.mark.parametrize(("name", "text", "value"), [("PORT", "8081\n", 8081), ("MOCK_FLICKR", "true", True)])
def test_not_only_secrets_can_lie_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, value: object
) -> None:
    (tmp_path / "value").write_text(text)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "value"))
    assert getattr(load(Everything), name.lower()) == value


def test_a_required_value_may_come_from_a_file_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ENCRYPTION_KEYS")
    (tmp_path / "keys").write_text(KEY)
    monkeypatch.setenv("ENCRYPTION_KEYS_FILE", str(tmp_path / "keys"))
    assert load(Everything).key_ring().keys[0][0] == "k1"


def test_spaces_in_a_file_belong_to_the_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "name").write_text(" two words \n")
    monkeypatch.setenv("SERVICE_ENV_FILE", str(tmp_path / "name"))
    assert load(Everything).service_env == " two words "


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_both_ways_ends_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "value").write_text(SECRET)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "value"))
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(SystemExit) as caught:
        load(Everything)
    assert_one_line_about(name, caught.value.code)
    assert f"{name}_FILE" in str(caught.value.code)


def test_an_empty_variable_beside_its_file_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("8081")
    monkeypatch.setenv("PORT_FILE", str(tmp_path / "value"))
    monkeypatch.setenv("PORT", "")
    assert load(Everything).port == 8081


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "can't be read (FileNotFoundError)"),
        (SECRET.encode() + b"\xff", "can't be read (UnicodeDecodeError)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \n\n", "is empty"),
        (SECRET.encode() + b"\n\n", "holds more than one line"),
        (f"{SECRET}\r\n{SECRET}\n".encode(), "holds more than one line"),
        (SECRET.encode() * LARGEST_BYTES, "is larger than 64 KiB"),
    ],
)
def test_a_file_that_cant_be_used_ends_the_process_with_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(file))
    with pytest.raises(SystemExit) as caught:
        load(Everything)
    assert_one_line_about(f"{name}_FILE", caught.value.code)
    assert str(caught.value.code) == f"{name}_FILE: the file {reason}"


def test_a_folder_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^REDIS_URL_FILE: the file can't be read \(IsADirectoryError\)$"):
        load(Everything)


def test_nobody_waits_for_what_comes_out_of_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "pipe"))
    with pytest.raises(SystemExit, match=r"^REDIS_URL_FILE: the file is a pipe or a device$"):
        load(Everything)


def test_the_ports_default_is_no_other_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9464")
    with pytest.raises(SystemExit, match=r"^METRICS_PORT: is the same as PORT"):
        load(Everything)
    monkeypatch.setenv("METRICS_PORT", "0")
    assert load(Everything).port == 9464


@pytest.mark.parametrize(
    "url",
    [
        "mongodb+srv://user:p%40ss@cluster.example/?replicaSet=a&srvMaxHosts=0",
        "mongodb://a:27017,b:27018,[::1]:27019/hub?replicaSet=rs0&tls=true",
    ],
)
def test_a_mongo_url_may_be_any_that_the_driver_reads(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MONGO_URL", url)
    assert load(Everything).mongo_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        pytest.param(settings, name.upper(), id=f"{settings.__name__}-{name}")
        for settings in (GatewaySettings, AuthSettings, ExecutorSettings, NotifierSettings, DlqSettings)
        for name in secret_names(settings)
    ],
)
def test_every_secret_of_every_service_and_tool_can_lie_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: type[BaseSettings], name: str
) -> None:
    monkeypatch.setenv("UPLOAD_S3_ACCESS_KEY_ID", "AKIA")
    if name != "UPLOAD_S3_SECRET_ACCESS_KEY":
        monkeypatch.setenv("UPLOAD_S3_SECRET_ACCESS_KEY", "it")
    value = VALUES[name]
    (tmp_path / "value").write_text(value + "\n")
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "value"))
    assert getattr(load(settings), name.lower()).get_secret_value() == value


def test_a_bad_value_in_a_file_names_the_variable_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "value").write_text(SECRET)
    monkeypatch.setenv("PORT_FILE", str(tmp_path / "value"))
    with pytest.raises(SystemExit) as caught:
        load(Everything)
    assert_one_line_about("PORT", caught.value.code)


def assert_one_line_about(name: str, line: object) -> None:
    assert isinstance(line, str)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", SECRET),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "8080.5"),
        ("METRICS_PORT", "3000"),
        ("MONGO_URL", SECRET),
        ("MONGO_URL", f"mongodb://user:{SECRET}%ss@x"),
        ("MONGO_URL", f"mongodb+srv://user:{SECRET}%ss@x"),
        ("MONGO_URL", f"mongodb://user:{SECRET}/@x"),
        ("MONGO_URL", f"mongodb://x:{SECRET}"),
        ("MONGO_URL", f"mongodb://x/?{SECRET}"),
        ("LOG_LEVEL", SECRET),
        ("LOG_LEVEL", "debug"),
        ("LOG_FORMAT", "xml"),
        ("SHUTDOWN_GRACE_SECONDS", "0"),
        ("SHUTDOWN_GRACE_SECONDS", "nan"),
        ("SHUTDOWN_GRACE_SECONDS", "inf"),
        ("INTERNAL_API_TOKEN", "short"),
        ("ENCRYPTION_KEYS", SECRET),
        ("ENCRYPTION_KEYS", f"k1:{SECRET}"),
        ("ENCRYPTION_KEYS", f"{KEY},{KEY}"),
        ("CALLBACK_ALLOW_CIDRS", SECRET),
        ("CALLBACK_ALLOW_CIDRS", "0.0.0.0/0"),
        ("CALLBACK_ALLOW_CIDRS", "10.0.0.0/8,::/0"),
        ("CALLBACK_ALLOW_CIDRS", "::ffff:0:0/96"),
        ("UPLOAD_ALLOW_CIDRS", SECRET),
        ("UPLOAD_ALLOW_CIDRS", "10.0.0.0/8,0.0.0.0/0"),
        ("UPLOAD_ALLOW_CIDRS", "64:ff9b::/96"),
        ("MOCK_FLICKR", SECRET),
        ("MOCK_FLICKR", "perhaps"),
        ("FLICKR_TIMEOUT_SECONDS", "61"),
        ("FLICKR_REST_URL", SECRET),
        ("TAGS", SECRET),
    ],
)
def test_a_bad_value_ends_the_process_with_one_line_that_names_it_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load(Everything)
    assert_one_line_about(name, caught.value.code)


@pytest.mark.parametrize("name", ["MONGO_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS"])
def test_a_required_value_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as caught:
        load(Everything)
    assert_one_line_about(name, caught.value.code)


def test_secrets_dont_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBIT_URL", f"amqp://guest:{SECRET}@rabbit/")
    monkeypatch.setenv("INTERNAL_API_TOKEN", SECRET)
    settings = load(Everything)
    assert SECRET not in f"{settings!r} {settings}"
    assert KEY not in repr(settings)


def test_settings_dont_change_after_the_start() -> None:
    settings, name = load(Everything), "port"
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, name, 1)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("oauth", "http://127.0.0.1:3131/services/oauth"),
        ("rest", "http://127.0.0.1:3131/services/rest/"),
        ("upload", "http://127.0.0.1:3131/services/upload/"),
        ("replace", "http://127.0.0.1:3131/services/replace/"),
    ],
)
@pytest.mark.parametrize("base", ["http://127.0.0.1:3131", "http://127.0.0.1:3131/"])
def test_one_switch_points_every_flickr_url_at_the_simulator(
    monkeypatch: pytest.MonkeyPatch, base: str, name: str, url: str
) -> None:
    monkeypatch.setenv("MOCK_FLICKR", "true")
    monkeypatch.setenv("FLICKR_SIM_URL", base)
    monkeypatch.setenv("FLICKR_REST_URL", "https://elsewhere.example/rest/")
    assert load(Everything).flickr_url(name) == url  # type: ignore[arg-type]


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Everything.model_fields.items() if not field.description] == []
