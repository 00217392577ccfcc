"""The error tree says what a client sees (contract, section 1) and whether trying again can help."""

import pytest

from flickrhub_common import errors
from flickrhub_common.errors import HubError

CONTRACT = {
    "ERR_INVALID_REQUEST": 400,
    "ERR_INVALID_STATE": 400,
    "ERR_UNAUTHORIZED": 401,
    "ERR_FORBIDDEN": 403,
    "ERR_TOKEN_NOT_FOUND": 404,
    "ERR_JOB_NOT_FOUND": 404,
    "ERR_NOT_FOUND": 404,
    "ERR_METHOD_NOT_ALLOWED": 405,
    "ERR_REQUEST_TIMEOUT": 408,
    "ERR_CONFLICT": 409,
    "ERR_PAYLOAD_TOO_LARGE": 413,
    "ERR_UNSUPPORTED_MEDIA_TYPE": 415,
    "ERR_RATE_LIMITED": 429,
    "ERR_HEADERS_TOO_LARGE": 431,
    "ERR_INTERNAL": 500,
    "ERR_UPSTREAM": 502,
    "ERR_UNAVAILABLE": 503,
}

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HubError)]


def test_every_code_of_the_contract_is_there_with_its_status() -> None:
    assert {kind.code: kind.status for kind in TREE} == CONTRACT


@pytest.mark.parametrize("kind", TREE)
def test_an_error_can_be_repeated_if_it_is_about_the_moment_and_not_the_request(kind: type[HubError]) -> None:
    assert kind.retryable == (kind.status in {408, 429, 502, 503})


@pytest.mark.parametrize("kind", TREE)
def test_every_error_has_one_public_sentence_of_its_own(kind: type[HubError]) -> None:
    error = kind("redis") if kind is errors.Unavailable else kind()
    assert error.message == str(error) == kind.default_message
    assert error.message.endswith(".")
    assert "redis" not in error.message


def test_what_is_away_is_known_inside_and_says_when_to_come_back() -> None:
    error = errors.Unavailable("redis")
    assert (error.dependency, error.retry_after) == ("redis", 2)
