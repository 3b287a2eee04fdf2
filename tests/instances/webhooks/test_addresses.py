"""Where a webhook may go. Names are resolved by a table of the test; numbers in every spelling by the machine."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.webhooks.addresses import (
    AddressRefused,
    PrivateAddress,
    destination,
    origin,
    parse,
    refusal,
    refuse_literal,
    resolve,
)

PUBLIC = "93.184.215.14"
NAMES = {
    "hooks.example": [PUBLIC],
    "both.example": [PUBLIC, "10.0.0.7"],
    "inner.example": ["192.168.1.10"],
    "six.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "xn--bcher-kva.example": [PUBLIC],
}


def by_table(host: str, port: int) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


PRIVATE_NUMBERS = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.255.255.254:8080/",
    "http://0.0.0.0/",
    "http://0/",
    "http://2130706433/",  # decimal
    "http://0x7f000001/",  # hexadecimal
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.1/",  # octal
    "http://017700000001/",
    "http://10.0.0.1/",
    "http://10.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",  # the same, decimal
    "http://0xa9fea9fe/",
    "http://100.64.0.1/",  # carrier-grade NAT
    "http://100.100.100.200/",  # a cloud's metadata within it
    "http://168.63.129.16/",  # another cloud's
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.5/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::127.0.0.1]/",  # IPv4-compatible
    "http://[::ffff:127.0.0.1]/",  # IPv4-mapped
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::7f00:1]/",  # NAT64
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",  # 6to4
    "http://[2001:0:0:0:0:0:0:1]/",  # Teredo
    "http://[2001:db8::1]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",  # metadata over IPv6
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://127.0.0.1./",
    "http://①②⑦.⓪.⓪.①/",
]
NO_ADDRESSES = [
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "gopher://hooks.example/",
    "//hooks.example/",
    "hooks.example/path",
    "http://",
    "http:///path",
    "http://user@hooks.example/",
    "http://hooks.example@127.0.0.1/",
    "http://127.0.0.1:80@hooks.example/",
    "http://hooks.example\\@127.0.0.1/",
    "http://hooks.example\r\nHost: inner/",
    "http://hooks.example /",
    "http://hooks.example:22/",
    "http://hooks.example:25/",
    "http://hooks.example:0/",
    "http://hooks.example:99999/",
    "http://hooks.example:x/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://127.0.0.1%2f@hooks.example/",
    "http://" + "a" * 64 + ".example/",
    "https://hooks.example/" + "a" * 2000,
]


@pytest.mark.parametrize("url", PRIVATE_NUMBERS)
def test_a_private_address_is_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(PrivateAddress, match="name its network in WEBHOOK_ALLOWED_NETWORKS"):
        destination(url, allowed=[], resolver=resolve)


@pytest.mark.parametrize("url", PRIVATE_NUMBERS)
def test_and_said_at_once_where_no_name_has_to_be_looked_up(url: str) -> None:
    with pytest.raises(PrivateAddress):
        refuse_literal(url, allowed=[])


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_plain_web_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        destination(url, allowed=[], resolver=by_table)

    assert "passwd" not in str(refused.value)
    assert "hooks.example" not in str(refused.value)


@pytest.mark.parametrize("host", ["inner.example", "mapped.example", "metadata.example", "both.example"])
def test_a_name_that_leads_inside_is_refused_even_by_one_of_its_addresses(host: str) -> None:
    with pytest.raises(PrivateAddress):
        destination(f"https://{host}/hook", allowed=[], resolver=by_table)


def test_the_address_that_is_judged_is_the_one_to_connect_to() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    place = destination("https://rebinding.example:8443/a?b=c", allowed=[], resolver=lambda *_: next(answers))

    assert place.address == PUBLIC
    assert (place.url.host, place.url.port, place.url.authority) == ("rebinding.example", 8443, "rebinding.example:8443")
    assert place.url.path == "/a?b=c"


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://hooks.example/", "hooks.example"),
        ("https://hooks.example:443/x", "hooks.example"),
        ("http://six.example", "six.example"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
    ],
)
def test_public_addresses_are_let_through(url: str, authority: str) -> None:
    assert destination(url, allowed=[], resolver=by_table).url.authority == authority


def test_networks_that_are_named_are_let_through_and_no_others() -> None:
    allowed = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]

    assert destination("http://10.1.2.3:8080/", allowed=allowed).address == "10.1.2.3"
    assert not refusal(ip_address("::ffff:10.0.0.1"), allowed)
    assert not refusal(ip_address("fd00::1"), allowed)
    assert "127.0.0.1 is this machine itself" in refusal(ip_address("127.0.0.1"), allowed)


def test_a_name_without_an_address_is_no_refusal() -> None:
    with pytest.raises(OSError, match="no such name"):
        destination("https://nowhere.example/", allowed=[], resolver=by_table)


def test_what_is_shown_of_an_address_has_no_path() -> None:
    assert origin("https://hooks.slack.com/services/T0/B0/token?x=1") == "https://hooks.slack.com"
    assert origin("mailto:ops@example.com") == "mailto:ops@example.com"
    assert origin("https://user:word@host/") == ""


@given(st.ip_addresses())
def test_no_address_that_python_calls_private_ever_passes(address: object) -> None:
    found = ip_address(str(address))

    if not found.is_global or found.is_multicast:
        assert refusal(found, [])


@given(st.text(max_size=60))
def test_reading_an_address_never_fails_in_another_way(text: str) -> None:
    try:
        parse(f"http://{text}")
    except AddressRefused:
        return
