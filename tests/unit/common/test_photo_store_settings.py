"""Where photos wait, as it is configured: what is wrong is said in one line that repeats no secret."""

import pytest

from flickrhub_common.settings import PhotoStoreSettings, load


def test_the_store_is_gridfs_unless_told_otherwise() -> None:
    assert load(PhotoStoreSettings).upload_store_url == "gridfs:"


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [("s3://photos", "photos", ""), ("s3://photos/", "photos", ""), ("s3://my.photos/a/b.c/", "my.photos", "a/b.c")],
)
def test_an_s3_url_names_bucket_and_prefix(url: str, bucket: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOAD_STORE_URL", url)
    assert load(PhotoStoreSettings).photo_bucket() == (bucket, prefix)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"UPLOAD_STORE_URL": "file:/photos"}, "UPLOAD_STORE_URL: must be gridfs: or s3://<bucket>[/<prefix>]"),
        ({"UPLOAD_STORE_URL": "s3://photos/../x"}, "UPLOAD_STORE_URL: must be gridfs: or s3://<bucket>[/<prefix>]"),
        ({"UPLOAD_STORE_URL": "s3://photos//x"}, "UPLOAD_STORE_URL: must be gridfs: or s3://<bucket>[/<prefix>]"),
        (
            {"UPLOAD_S3_ENDPOINT": "https://id:s3cret@s3.example"},
            "UPLOAD_S3_ENDPOINT: must be an http or https URL without credentials and query",
        ),
        (
            {"UPLOAD_S3_SECRET_ACCESS_KEY": "s3cret"},
            "UPLOAD_S3_SECRET_ACCESS_KEY: goes with UPLOAD_S3_ACCESS_KEY_ID: set both or neither",
        ),
        (
            {"UPLOAD_S3_ACCESS_KEY_ID": "AKIA1"},
            "UPLOAD_S3_SECRET_ACCESS_KEY: goes with UPLOAD_S3_ACCESS_KEY_ID: set both or neither",
        ),
    ],
)
def test_what_is_wrong_ends_the_process_with_one_line(
    variables: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load(PhotoStoreSettings)
    assert str(caught.value) == line
