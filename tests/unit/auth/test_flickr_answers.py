"""What Flickr's OAuth answers mean. The bodies are recorded ones, their values changed."""

import pytest

from flickrhub_auth.adapters.flickr_answers import Answer, grant_of, perms_of, request_token_of
from flickrhub_auth.errors import AppRefused, UnexpectedAnswer, VerifierRefused
from flickrhub_auth.models import Grant, RequestToken
from flickrhub_common.errors import HubError, UpstreamFailed

REQUEST_TOKEN = (
    "oauth_callback_confirmed=true&oauth_token=72157636219286366-5d598e9d1faaa85c&oauth_token_secret=a51ed248cffc5af9"
)
ACCESS_TOKEN = (
    "fullname=Alex%20Example&oauth_token=72157636219286366-5d598e9d1faaa85c&oauth_token_secret=a51ed248cffc5af9"
    "&user_nsid=199246608%40N02&username=alex"
)
SIGNATURE_INVALID = (
    "oauth_problem=signature_invalid&debug_sbs=POST&https%3A%2F%2Fwww.flickr.com%2Fservices%2Foauth%2Frequest_token&"
    "oauth_callback%3Doob%26oauth_consumer_key%3D768fe946%26oauth_problem%3Dtoken_rejected"
)
TOO_MANY = (
    "<html><body><h1>429 Too Many Requests</h1>\nYou have sent too many requests in a given amount of time.\n"
    "</body></html>\n"
)


def test_a_request_token_is_read() -> None:
    assert request_token_of(Answer("request_token", 200, REQUEST_TOKEN)) == RequestToken(
        "72157636219286366-5d598e9d1faaa85c", "a51ed248cffc5af9"
    )


def test_an_access_token_is_read_with_its_owner() -> None:
    assert grant_of(Answer("access_token", 200, ACCESS_TOKEN)) == Grant(
        "72157636219286366-5d598e9d1faaa85c", "a51ed248cffc5af9", "199246608@N02", "alex", "Alex Example"
    )


def test_an_empty_full_name_is_fine() -> None:
    assert grant_of(Answer("access_token", 200, ACCESS_TOKEN.replace("Alex%20Example", ""))).fullname == ""


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (401, "oauth_problem=consumer_key_unknown", AppRefused),
        (401, SIGNATURE_INVALID, AppRefused),
        (401, "oauth_problem=token_rejected", VerifierRefused),
        (401, "oauth_problem=verifier_invalid", VerifierRefused),
        (401, "oauth_problem=timestamp_refused", UpstreamFailed),
        (401, "oauth_problem=nonce_used", UpstreamFailed),
        (400, "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_callback", UpstreamFailed),
        (401, "", UpstreamFailed),
        (429, TOO_MANY, UpstreamFailed),
        (500, "oauth_problem=token_rejected", UpstreamFailed),
        (502, "<html>Bad Gateway</html>", UpstreamFailed),
        (418, "Sorry, the Flickr API service is not currently available", UpstreamFailed),
        (302, "", UpstreamFailed),
        (200, "", UpstreamFailed),
        (200, "<html>Be right back</html>", UpstreamFailed),
        (200, "oauth_token=&oauth_token_secret=&user_nsid=", UpstreamFailed),
        (200, f"oauth_token={'7' * 600}&oauth_token_secret=a&user_nsid=1", UpstreamFailed),
        (200, "&".join("a=b" for _ in range(1000)), UpstreamFailed),
    ],
)
@pytest.mark.parametrize("read", [request_token_of, grant_of])
def test_every_other_answer_is_one_of_three_failures(
    read: type, status: int, body: str, meaning: type[HubError]
) -> None:
    with pytest.raises(HubError) as caught:
        read(Answer("request_token", status, body))
    assert type(caught.value) is meaning


def test_what_is_logged_of_an_unexpected_answer_holds_nothing_of_its_values() -> None:
    with pytest.raises(UpstreamFailed) as caught:
        grant_of(Answer("access_token", 200, "oauth_token=72157-abc&oauth_token_secret=a51ed248"))
    assert isinstance(caught.value.__cause__, UnexpectedAnswer)
    assert str(caught.value.__cause__) == "access_token: HTTP 200 fields are absent"


def test_perms_are_read_from_check_token() -> None:
    body = '{"oauth":{"token":{"_content":"7"},"perms":{"_content":"delete"},"user":{"nsid":"1"}},"stat":"ok"}'
    assert perms_of(Answer("checkToken", 200, body)) == "delete"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, '{"stat":"fail","code":98,"message":"Invalid auth token"}'),
        (200, '{"oauth":{"perms":{"_content":["write"]}}}'),
        (200, '{"oauth":{"perms":"write"}}'),
        (200, '{"oauth":{"perms":{"_content":"everything"}}}'),
        (200, "[" * 100_000),
        (200, "<rsp/>"),
        (500, ""),
    ],
)
def test_perms_that_cannot_be_read_are_a_failure_of_flickrs(status: int, body: str) -> None:
    with pytest.raises(UpstreamFailed):
        perms_of(Answer("checkToken", status, body))
