"""What may be typed, and what is answered before any broker is asked."""

from pathlib import Path

import pytest

from flickrhub_common.topology import FLICKR_DLQ
from flickrhub_dlq.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bury"],
        ["list", "no_such_queue"],
        ["show"],
        ["replay", FLICKR_DLQ],
        ["replay", FLICKR_DLQ, "1", "--all"],
        ["replay", FLICKR_DLQ, "--all", "--yes"],
        ["purge", FLICKR_DLQ, "--all"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RABBIT_URL", "http://user:s3cret@nowhere/")
    try:
        code: object = main(arguments)
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert "s3cret" not in said.err


@pytest.mark.parametrize("url", ["http://user:s3cret@nowhere/", "s3cret", "amqp://user:s3cret@nowhere:port/"])
def test_a_url_that_is_none_is_not_repeated(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RABBIT_URL", url)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "RABBIT_URL must be an amqp or amqps URL.\n"


def test_the_url_can_be_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "url"
    secret.write_text("amqp://user:s3cret@127.0.0.1:1/")
    monkeypatch.delenv("RABBIT_URL", raising=False)
    monkeypatch.setenv("RABBIT_URL_FILE", str(secret))
    assert main(["list"]) == 3
    assert capsys.readouterr().err == "RabbitMQ can't be reached at RABBIT_URL.\n"
    monkeypatch.setenv("RABBIT_URL_FILE", str(tmp_path / "absent"))
    assert main(["list"]) == 2
    assert "s3cret" not in capsys.readouterr().err
