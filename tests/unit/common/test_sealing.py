"""Secrets at rest open for their owner and purpose only."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.sealing import CannotOpen, KeyRing, UnknownKey, key_id, new_key

OLD = base64.b64encode(bytes(range(32))).decode()
NEW = base64.b64encode(bytes(range(32, 64))).decode()
SECRET = "72157720-hunter2"
RING = KeyRing.parse(f"k1:{OLD}")


def seal(ring: KeyRing = RING) -> str:
    return ring.seal(SECRET, purpose="token", owner="user-1")


def test_a_secret_opens_for_its_owner_and_purpose() -> None:
    assert RING.open(seal(), purpose="token", owner="user-1") == SECRET


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(secret: str) -> None:
    assert RING.open(RING.seal(secret, purpose="p", owner="o"), purpose="p", owner="o") == secret


def test_a_sealed_secret_shows_nothing_and_is_never_the_same_twice() -> None:
    assert SECRET not in seal()
    assert seal() != seal()
    assert seal().startswith("v1.k1.")


@pytest.mark.parametrize(
    ("purpose", "owner"),
    [("token", "user-2"), ("callback", "user-1"), ("", "token:user-1"), ("token:user", "-1"), ("TOKEN", "user-1")],
)
def test_it_doesnt_open_for_another_owner_or_purpose(purpose: str, owner: str) -> None:
    with pytest.raises(CannotOpen):
        RING.open(seal(), purpose=purpose, owner=owner)


def test_owner_and_purpose_cant_be_shifted_into_one_another() -> None:
    sealed = RING.seal(SECRET, purpose="a", owner="b:c")
    with pytest.raises(CannotOpen):
        RING.open(sealed, purpose="a:b", owner="c")


def test_every_changed_character_is_noticed() -> None:
    sealed = seal()
    start = len("v1.k1.")
    for position in range(start, len(sealed.rstrip("="))):
        other = next(c for c in string.ascii_letters if c != sealed[position])
        changed = sealed[:position] + other + sealed[position + 1 :]
        if base64.urlsafe_b64decode(changed[start:]) == base64.urlsafe_b64decode(sealed[start:]):
            continue  # the unused bits of the last character
        with pytest.raises(CannotOpen):
            RING.open(changed, purpose="token", owner="user-1")


@pytest.mark.parametrize(
    "sealed",
    [
        "",
        "v1",
        "v1.k1",
        "v1.k1.",
        "v1.k1.AAAA",
        "v1.k1.!!!!",
        "v2.k1.AAAA",
        "v1.k9.AAAA",
        SECRET,
        "v1..",
        "...",
        "v1.k1.ü",
    ],
)
def test_what_was_never_sealed_doesnt_open(sealed: str) -> None:
    with pytest.raises(CannotOpen) as caught:
        RING.open(sealed, purpose="token", owner="user-1")
    assert not sealed or sealed not in str(caught.value)


def test_the_newest_key_seals_and_every_key_of_the_ring_opens() -> None:
    rotated = KeyRing.parse(f"k2:{NEW}, k1:{OLD}")
    assert rotated.open(seal(), purpose="token", owner="user-1") == SECRET
    assert seal(rotated).startswith("v1.k2.")
    assert rotated.open(seal(rotated), purpose="token", owner="user-1") == SECRET
    with pytest.raises(CannotOpen):
        RING.open(seal(rotated), purpose="token", owner="user-1")


def test_a_key_id_with_another_key_doesnt_open() -> None:
    with pytest.raises(CannotOpen):
        KeyRing.parse(f"k1:{NEW}").open(seal(), purpose="token", owner="user-1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "k1",
        f"{OLD}",
        f":{OLD}",
        f"k 1:{OLD}",
        f"k.1:{OLD}",
        "k1:",
        "k1:AAAA",
        f"k1:{OLD}AAAA",
        f"k1:{OLD[:-4]}!!!!",
        "k1:ü",
        f"k1:{OLD},k1:{NEW}",
        f"k1:{OLD},k2:AAAA",
        f"k1 :{OLD}",
    ],
)
def test_a_bad_ring_is_refused_without_repeating_a_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(needs|has) ") as caught:
        KeyRing.parse(text)
    assert OLD not in str(caught.value)


def test_a_ring_doesnt_show_its_keys() -> None:
    assert "k1" not in repr(RING)
    assert str(bytes(range(32))) not in repr(RING)


def test_resealing_brings_a_secret_under_the_newest_key_and_leaves_alone_what_is() -> None:
    both = KeyRing.parse(f"k2:{NEW},k1:{OLD}")
    resealed = both.reseal(seal(), purpose="token", owner="user-1")
    assert key_id(resealed) == "k2"
    assert KeyRing.parse(f"k2:{NEW}").open(resealed, purpose="token", owner="user-1") == SECRET
    assert both.reseal(resealed, purpose="token", owner="user-1") == resealed


def test_resealing_doesnt_give_a_secret_to_somebody_else() -> None:
    with pytest.raises(CannotOpen):
        KeyRing.parse(f"k2:{NEW},k1:{OLD}").reseal(seal(), purpose="token", owner="user-2")


def test_a_missing_key_is_told_from_a_changed_value_and_named() -> None:
    with pytest.raises(UnknownKey) as caught:
        KeyRing.parse(f"k2:{NEW}").open(seal(), purpose="token", owner="user-1")
    assert caught.value.key_id == "k1"
    with pytest.raises(CannotOpen) as other:
        RING.open(seal()[:-4] + "AAAA", purpose="token", owner="user-1")
    assert not isinstance(other.value, UnknownKey)


@pytest.mark.parametrize("text", ["", "v1", "v1.k1", "v2.k1.abc", "v1..abc", "v1.k 1.abc", "nonsense"])
def test_what_isnt_sealed_has_no_key(text: str) -> None:
    assert key_id(text) == "?"


def test_a_new_key_goes_into_a_ring_and_has_an_id_of_its_own() -> None:
    keys = [new_key() for _ in range(100)]
    assert len(KeyRing.parse(",".join(keys)).keys) == 100
