"""Which addresses and URLs the hub may call."""

import ipaddress

import pytest

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, RefusedUrl, check_url, literal_address

NOBODY_ELSE = AddressPolicy()

PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e", "64:ff9b::808:808"]

GLOBAL_BY_PYTHONS_ACCOUNT = [
    "192.0.0.9",
    "192.88.99.1",
    "224.0.0.1",
    "233.252.0.16",
    "168.63.129.16",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::1",
    "fec0::1",
    "3fff::1",
    "5f00::1",
    "ff02::1",
    "ff0e::1",
]

NOT_PUBLIC = [
    *GLOBAL_BY_PYTHONS_ACCOUNT,
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "198.18.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2001::1",
    "2001:db8::1",
    "2002:808:808::1",
    "100::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
]

ODD_LITERALS = {
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "0": "0.0.0.0",
    "127.0.0.1.": "127.0.0.1",
    "[::1]": "::1",
    "::1%lo": "::1",
    "fe80::1%25eth0": "fe80::1",
    "localhost": "127.0.0.1",
    "LOCALHOST.": "127.0.0.1",
    "any.localhost": "127.0.0.1",
    "127\u30020\u30020\u30021": "127.0.0.1",
    "\uff11\uff12\uff17.0.0.1": "127.0.0.1",
}


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_permitted(text: str) -> None:
    assert NOBODY_ELSE.permits(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not NOBODY_ELSE.permits(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_a_url_gets_the_verdict_of_its_literal_address(text: str) -> None:
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(RefusedUrl, match=REFUSED_ADDRESS):
        check_url(f"http://{host}:8080/hook", NOBODY_ELSE)


@pytest.mark.parametrize(("host", "address"), ODD_LITERALS.items())
def test_an_odd_literal_is_the_address_it_stands_for(host: str, address: str) -> None:
    assert literal_address(host) == ipaddress.ip_address(address)


@pytest.mark.parametrize("host", ODD_LITERALS)
def test_a_url_with_an_odd_literal_is_refused(host: str) -> None:
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    with pytest.raises(RefusedUrl, match=REFUSED_ADDRESS):
        check_url(f"https://{bracketed}/", NOBODY_ELSE)


@pytest.mark.parametrize(
    "host", ["example.com", "127.example.com", "1.2.3.4.5", "0xg", "notlocalhost", "256.256.256.256"]
)
def test_a_name_is_no_literal(host: str) -> None:
    assert literal_address(host) is None


def test_the_allow_list_opens_what_it_lists_and_nothing_else() -> None:
    policy = AddressPolicy.parse(" 127.0.0.0/8 , ::1/128,10.1.0.0/16 ")
    permitted = ["127.0.0.1", "::1", "10.1.2.3", "::ffff:127.0.0.1", "8.8.8.8"]
    refused = ["10.2.0.1", "169.254.169.254", "::2", "fe80::1"]
    assert all(policy.permits(ipaddress.ip_address(text)) for text in permitted)
    assert not any(policy.permits(ipaddress.ip_address(text)) for text in refused)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0"])
def test_a_network_of_everything_is_no_allow_list(text: str) -> None:
    with pytest.raises(ValueError, match="/0"):
        AddressPolicy.parse(text)


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.1/8", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits|IPv4"):
        AddressPolicy.parse(text)


def test_one_bad_address_spoils_a_name() -> None:
    addresses = [ipaddress.ip_address(text) for text in ("93.184.216.34", "10.0.0.1")]
    assert NOBODY_ELSE.permits_all(addresses[:1])
    assert not NOBODY_ELSE.permits_all(addresses)


@pytest.mark.parametrize(
    ("url", "phrase"),
    [
        ("ftp://example.com/", "must be http or https"),
        ("file:///etc/passwd", "must be http or https"),
        ("example.com/hook", "must be http or https"),
        ("http://user@example.com/", "user name or password"),
        ("http://user:pass@example.com/", "user name or password"),
        ("http://@example.com/", "user name or password"),
        ("http:///hook", "needs a host"),
        ("http://example.com:0/", "valid port"),
        ("http://example.com:65536/", "isn't a URL"),
        ("http://[::1/", "isn't a URL"),
        ("http://example.com/a b", "space"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com/\r\nX: y", "control character"),
        ("http://example.com/" + "a" * 2048, "longer than"),
    ],
)
def test_a_url_that_is_wrong_in_itself_is_refused_with_a_fixed_phrase(url: str, phrase: str) -> None:
    with pytest.raises(RefusedUrl, match=phrase):
        check_url(url, AddressPolicy.parse("127.0.0.0/8,::1/128"))


@pytest.mark.parametrize("url", ["http://example.com", "https://example.com:8443/hook?key=1", "http://[2606:4700::1]/"])
def test_a_good_url_passes(url: str) -> None:
    check_url(url, NOBODY_ELSE)
