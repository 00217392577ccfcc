"""Which addresses and URLs the hub may call: every literal, every odd form."""

import ipaddress

import pytest

from flickrhub_common.addresses import (
    NO_HOST,
    NO_NAME,
    ODD_ADDRESS,
    REFUSED_ADDRESS,
    AddressPolicy,
    RefusedUrl,
    addresses_of,
    check_url,
    host_of,
    literal_address,
)
from tests.support.hostile_urls import (
    NAMES_OF_THIS_MACHINE,
    NOT_PUBLIC,
    ODD_LITERALS,
    OTHER_DOTS,
    REFUSED_URLS,
    in_url,
)

NOBODY_ELSE = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")

PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e", "64:ff9b::808:808"]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_permitted(text: str) -> None:
    assert NOBODY_ELSE.permits(ipaddress.ip_address(text))
    check_url(f"https://{in_url(text)}/", NOBODY_ELSE)


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not NOBODY_ELSE.permits(ipaddress.ip_address(text))
    with pytest.raises(RefusedUrl, match=REFUSED_ADDRESS):
        check_url(f"http://{in_url(text)}:8080/hook", NOBODY_ELSE)


@pytest.mark.parametrize("number", range(len(REFUSED_URLS)))
def test_a_hostile_url_is_refused_with_a_phrase_that_repeats_none_of_it(number: int) -> None:
    url = REFUSED_URLS[number]
    with pytest.raises(RefusedUrl) as refused:
        check_url(url, NOBODY_ELSE)
    phrases = {REFUSED_ADDRESS, ODD_ADDRESS, NO_HOST, NO_NAME, "must be http or https", "isn't text"}
    phrases |= {"must not carry a user name or password", "holds a space, control character or backslash"}
    phrases |= {"is longer than 2048 characters"}
    assert str(refused.value) in phrases


@pytest.mark.parametrize(("host", "address"), ODD_LITERALS.items())
def test_an_odd_literal_is_refused_even_where_its_address_is_listed(host: str, address: str) -> None:
    assert str(literal_address(host_of(f"http://{host}/"))) == address
    with pytest.raises(RefusedUrl, match=REFUSED_ADDRESS):
        check_url(f"https://{host}/", NOBODY_ELSE)
    with pytest.raises(RefusedUrl, match=ODD_ADDRESS):
        check_url(f"https://{host}/", AddressPolicy.parse("127.0.0.0/8,0.0.0.0/8"))


@pytest.mark.parametrize("host", OTHER_DOTS)
def test_a_dot_of_another_script_is_a_dot(host: str) -> None:
    assert host_of(f"http://{host}/") == "127.0.0.1"
    check_url(f"http://{host}/", LOOPBACK)


@pytest.mark.parametrize("host", NAMES_OF_THIS_MACHINE)
def test_localhost_is_loopback_where_loopback_is_listed(host: str) -> None:
    dialled = host_of(f"http://{host}:3000/")
    assert [str(address) for address in addresses_of(dialled, LOOPBACK) or ()] == ["127.0.0.1", "::1"]
    assert addresses_of(dialled, AddressPolicy.parse("::1/128")) == (ipaddress.ip_address("::1"),)
    with pytest.raises(RefusedUrl, match=REFUSED_ADDRESS):
        addresses_of(dialled, NOBODY_ELSE)


@pytest.mark.parametrize("host", ["example.com", "127.example.com", "0xg", "notlocalhost", "localhost.example", "1e1"])
def test_a_name_is_no_literal(host: str) -> None:
    assert literal_address(host) is None
    assert addresses_of(host, NOBODY_ELSE) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com", "example.com"),
        ("HTTPS://Example.COM:8443/hook?key=1", "example.com"),
        ("http://example.com.:/", "example.com."),
        ("http://example.com?a=b@127.0.0.1", "example.com"),
        ("http://example.com#@127.0.0.1/", "example.com"),
        ("http://example.com/@127.0.0.1:80/", "example.com"),
        ("http://under_score.example/", "under_score.example"),
        ("http://b\u00fccher.example/\u00e4", "xn--bcher-kva.example"),
        ("http://B\u00dcCHER\u3002example/", "xn--bcher-kva.example"),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://" + "a" * 63 + ".example/", "a" * 63 + ".example"),
        ("http://[2606:4700::1]:65535/", "2606:4700::1"),
        ("http://[::ffff:8.8.8.8]/", "::ffff:8.8.8.8"),
    ],
)
def test_a_good_url_passes_and_has_its_host(url: str, host: str) -> None:
    check_url(url, NOBODY_ELSE)
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "phrase"),
    [
        ("ftp://example.com/", "must be http or https"),
        ("example.com/hook", "must be http or https"),
        ("http://user@example.com/", "user name or password"),
        ("http://@example.com/", "user name or password"),
        ("http:///hook", "needs a host"),
        ("http://example.com:0/", "valid port"),
        ("http://example.com:65536/", "valid port"),
        ("http://[::1/", "needs a host"),
        ("http://example.com/a b", "space"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com/\r\nX: y", "control character"),
        ("http://example.com/\ud800", "isn't text"),
        ("http://example.com/" + "a" * 2048, "longer than"),
        ("http://" + "a" * 300 + ".example/", "name of the DNS"),
        ("http://1.2.3.4.5/", "usual form"),
    ],
)
def test_a_url_that_is_wrong_in_itself_is_refused_with_a_fixed_phrase(url: str, phrase: str) -> None:
    with pytest.raises(RefusedUrl, match=phrase):
        check_url(url, LOOPBACK)


def test_the_allow_list_opens_what_it_lists_and_nothing_else() -> None:
    policy = AddressPolicy.parse(" 127.0.0.0/8 , ::1/128,10.1.0.0/16 ")
    permitted = ["127.0.0.1", "::1", "10.1.2.3", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "8.8.8.8"]
    refused = ["10.2.0.1", "169.254.169.254", "::2", "fe80::1", "2002:7f00:1::1", "::127.0.0.1"]
    assert all(policy.permits(ipaddress.ip_address(text)) for text in permitted)
    assert not any(policy.permits(ipaddress.ip_address(text)) for text in refused)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1", "2000::/3"])
def test_a_network_of_everything_or_much_of_it_is_no_allow_list(text: str) -> None:
    with pytest.raises(ValueError, match="would allow too much"):
        AddressPolicy.parse(text)


def test_the_largest_private_networks_are() -> None:
    assert len(AddressPolicy.parse("10.0.0.0/8,fc00::/7").allowed) == 2


@pytest.mark.parametrize("text", ["::ffff:0:0/96", "::ffff:10.0.0.0/104", "64:ff9b::/96", "::/8"])
def test_nor_is_one_that_holds_all_of_ipv4_in_ipv6(text: str) -> None:
    with pytest.raises(ValueError, match="networks of IPv4"):
        AddressPolicy.parse(text)


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.1/8", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits|IPv4"):
        AddressPolicy.parse(text)


def test_one_bad_address_spoils_a_name() -> None:
    addresses = [ipaddress.ip_address(text) for text in ("93.184.216.34", "10.0.0.1")]
    assert NOBODY_ELSE.permits_all(addresses[:1])
    assert not NOBODY_ELSE.permits_all(addresses)
