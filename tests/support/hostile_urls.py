"""Addresses, hosts and URLs with which somebody might reach what he shouldn't (facts/webhooks.md, section 4)."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

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
    *("100.64.0.1", "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "0.0.0.0", "0.1.2.3", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "0:0:0:0:0:0:0:1"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::FFFF:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::127.0.0.1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "2002:808:808::1", "2002:a9fe:a9fe::"),
    *("100::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff01::1"),
]
"""No address that the hub may dial unless it is told to."""

ODD_LITERALS = {
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "0X7F.0.0.1": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "127.0.0.01": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "0": "0.0.0.0",
    "127.0.0.1.": "127.0.0.1",
}
"""Hosts that some resolver or browser takes for the address beside them."""

OTHER_DOTS = ["127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "127\uff610\uff610\uff611", "127.0\u30020.1"]
"""127.0.0.1 with dots that IDNA reads as such."""

NAMES_OF_THIS_MACHINE = ["localhost", "LOCALHOST", "localhost.", "any.localhost", "a.b.LocalHost.", "localhost\u3002"]
"""Names that are loopback whatever a resolver says."""

NO_HOSTS = [
    *("[fe80::1%25lo]", "[fe80::1%lo]", "[::1%25]", "[::1%25lo]"),
    *("\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "\u0661\u0662\u0667.0.0.1", "\u24db\u24de\u24d2alhost"),
    *("%31%32%37.0.0.1", "127%2e0%2e0%2e1", "%6cocalhost", "localhost%00.example.com", "localhost%2f.example.com"),
    *("127.0.0.1.5", "256.256.256.256", "1.2.3.4.5", "4294967296", "0x100000000", "example.0", "example.0x1"),
    *("a..example", ".example", "..", ".", "a" * 64 + ".example", "a" * 300 + ".example", ".".join(["abcdefg"] * 40)),
    *("a\u00adb.example", "a\u200bb.example", "xn--a.example", "xn--.example", "a\ud800.example", "\ufb00.example"),
    *("a;b", "a,b", "a'b", "*.example", "a`b", "{a}", "a!b", "a$b", "(a)", "a=b", "a+b", "a&b", '"a"', "<a>", "a|b"),
    *(
        "[::1",
        "::1",
        "[::1]x",
        "x[::1]",
        "[::1][::1]",
        "[v1.fe80::1]",
        "[127.0.0.1]",
        "[]",
        "[localhost]",
        "[::ffff:127.1]",
    ),
    *(
        "",
        ":",
        ":80",
        "a:b",
        "a:80:90",
        "a:-1",
        "a:+80",
        "a:8_0",
        "a:\uff18\uff10",
        "a:0",
        "a:00000",
        "a:65536",
        "a:099999",
    ),
    *("a:99999999999999999999", "a:0x50", "a: 80", "[::1]:x"),
    *("public@127.0.0.1", "public:pass@127.0.0.1", "@example.com", ":@example.com", "127.0.0.1@example.com"),
    *("example.com@127.0.0.1:80@example.com", "[::1]@example.com"),
]
"""What stands where a host should and is none, though some parser finds one in it."""

NO_URLS = [
    *("", "/", "//127.0.0.1/", "127.0.0.1", "localhost/", "http", "http:", "http:/", "http://", "https:///"),
    *(
        "http:///127.0.0.1/",
        "http:////127.0.0.1/",
        "http:/127.0.0.1/",
        "http:127.0.0.1/",
        "http:?@127.0.0.1",
        "http://#",
    ),
    *(
        "http:\\\\127.0.0.1\\",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/",
        "\\\\127.0.0.1\\share",
    ),
    *(
        "http://exa\tmple.com/",
        "http://example.com\n/",
        "\nhttp://example.com/",
        " http://example.com/",
        "http://example.com/ ",
    ),
    *(
        "\x00http://example.com/",
        "http://example.com/\r\nHost: localhost",
        "http://exa mple.com/",
        "http://example.com/\x7f",
    ),
    *(
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "dict://127.0.0.1/",
        "ws://127.0.0.1/",
    ),
    *(
        "javascript:alert(1)",
        "data:text/plain,x",
        "jar:http://127.0.0.1!/",
        "http+unix://%2Frun%2Fsocket/",
        "url:http://127.0.0.1/",
    ),
    *("httpx://example.com/", "https+http://example.com/", "http\uff1a//example.com/", "http:\uff0f\uff0fexample.com/"),
    *("\uff48ttp://example.com/", "http://example.com/\ud800", "http://example.com/" + "a" * 2048),
]
"""What is no URL to call, whatever the host."""


def in_url(host: str) -> str:
    """A host or address as it stands in a URL."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


REFUSED_HOSTS = [*map(in_url, NOT_PUBLIC), *ODD_LITERALS, *OTHER_DOTS, *NAMES_OF_THIS_MACHINE, *NO_HOSTS]
"""Every host above as it stands in a URL; without an allow-list none of them may be called."""

REFUSED_URLS = [*(f"http://{host}/" for host in REFUSED_HOSTS), *NO_URLS]
"""Every URL above; without an allow-list none of them may be called."""

METADATA_NAMES = {
    "metadata.google.internal": "169.254.169.254",
    "metadata": "169.254.169.254",
    "instance-data.ec2.internal": "169.254.169.254",
    "metadata.azure.internal": "168.63.129.16",
    "ip6-localhost": "::1",
    "localhost.localdomain": "127.0.0.1",
    "127.0.0.1.nip.example": "127.0.0.1",
    "kubernetes.default.svc": "10.96.0.1",
}
"""Names that lead somewhere inside, and where."""


def batched(these: Sequence[T], size: int = 8) -> Iterator[Sequence[T]]:
    """So many at a time: all at once would be a test of the broker."""
    for begin in range(0, len(these), size):
        yield these[begin : begin + size]


def hostile_urls(port: int) -> list[str]:
    """A choice of the hosts above that lead to this machine or nowhere, with this port, and names that lead inside."""
    hosts = [*map(in_url, NOT_PUBLIC[::8]), "127.0.0.1", "[::1]", *list(ODD_LITERALS)[::3], OTHER_DOTS[0]]
    hosts += [*NAMES_OF_THIS_MACHINE[::2], *(host for host in NO_HOSTS[::8] if host.isprintable())]
    return [f"http://{host}:{port}/hook" for host in [*hosts, *NAMES_LEADING_INSIDE]]


NAMES_LEADING_INSIDE = {
    **{f"n{number}.hooks.example": [address] for number, address in enumerate(NOT_PUBLIC[::8])},
    **{name: [address] for name, address in METADATA_NAMES.items()},
    "mixed.hooks.example": ["93.184.216.34", "127.0.0.1"],
    "rebound.hooks.example": ["127.0.0.1", "::1", "93.184.216.34"],
}
"""What a DNS of a test's own answers to these names: nothing that may be dialled."""
