"""Params as Flickr takes them."""

from typing import Any

import pytest

from flickrhub_executor.models import Credentials, json_params


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b+c&d~é日本😀", "a b+c&d~é日本😀"),
        ("", ""),
        (True, "1"),
        (False, "0"),
        (0, "0"),
        (-7, "-7"),
        (9223372036854775807, "9223372036854775807"),
        (5.0, "5"),
        (-0.5, "-0.5"),
        (0.1, "0.1"),
        (52.520008, "52.520008"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (100.0, "100"),
        ([], ""),
        (["a", "b c", 3, True, 2.0], "a,b c,3,1,2"),
        (["one"], "one"),
    ],
)
def test_a_value_becomes_text(value: Any, text: str) -> None:
    assert json_params({"p": value}) == (("p", text),)


def test_the_order_of_params_is_kept() -> None:
    assert json_params({"b": 1, "a": 2}) == (("b", "1"), ("a", "2"))


def test_the_text_form_of_a_lent_token_holds_nothing_secret() -> None:
    lent = Credentials("user", "the-key", "the-secret", "the-token", "the-token-secret", "f00d")
    assert "the-" not in repr(lent) + str(lent)
