from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from app.core.errors import InvalidInput
from app.core.special_addresses import IPV4, IPV6, is_public
from app.core.url_policy import check_url

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=1", f"https://{PUBLIC}/", "https://example.com:8443", "https://[2606:2800:21f:cb07::1]/hook"]
)
def test_a_public_https_url_is_taken(url: str) -> None:
    assert check_url(url, allow_private=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com:22/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https:///hook",
        "https://exa mple.com/",
        "https://example.com/\r\nx: y",
        "https://ex\u00e4mple.com/",
        "https://" + "a" * 3000,
    ],
)
def test_a_url_that_could_mean_something_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0", "0.0.0.0", "10.0.0.1", "172.16.0.1",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
        "[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "127.0.0.1.", "localhost", "LOCALHOST.", "a.localhost",
    ],
)  # fmt: skip
def test_a_private_host_is_refused_in_each_of_its_forms(host: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(f"https://{host}/", allow_private=False)


def test_a_private_host_over_plain_http_is_taken_where_the_setting_allows_it() -> None:
    assert check_url("http://127.0.0.1:81/", allow_private=True) == "http://127.0.0.1:81/"


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07::1", f"::ffff:{PUBLIC}", "64:ff9b::5db8:d70e"])
def test_a_public_address_is_public_in_each_of_its_forms(address: str) -> None:
    assert is_public(ip_address(address))


def edges(block: str) -> list[str]:
    network = ip_network(block)
    return [str(network[0]), str(network[network.num_addresses // 2]), str(network[-1])]


@pytest.mark.parametrize("block", [*IPV4, *(block for block in IPV6 if block not in ("::ffff:0:0/96", "64:ff9b::/96"))])
def test_no_address_of_a_special_purpose_block_is_public(block: str) -> None:
    for address in edges(block):
        assert not is_public(ip_address(address)), address
        host = f"[{address}]" if ":" in address else address
        with pytest.raises(InvalidInput):
            check_url(f"https://{host}/", allow_private=False)


EMBEDDINGS = {
    "mapped": lambda inner: IPv6Network("::ffff:0:0/96")[int(inner)],
    "NAT64": lambda inner: IPv6Network("64:ff9b::/96")[int(inner)],
    "local NAT64": lambda inner: IPv6Network("64:ff9b:1::/96")[int(inner)],
    "6to4": lambda inner: IPv6Network("2002::/16")[int(inner) << 80 | 1],
    "Teredo client": lambda inner: IPv6Network("2001::/32")[0xC0000201 << 64 | (int(inner) ^ 0xFFFFFFFF)],
    "Teredo server": lambda inner: IPv6Network("2001::/32")[int(inner) << 64],
    "compatible": lambda inner: IPv6Network("::/96")[int(inner)],
    "translated": lambda inner: IPv6Network("::ffff:0:0:0/96")[int(inner)],
    "ISATAP": lambda inner: IPv6Network("2606:2800:21f:cb07::/64")[0x5EFE << 32 | int(inner)],
    "ISATAP, global": lambda inner: IPv6Network("2606:2800:21f:cb07::/64")[0x02005EFE << 32 | int(inner)],
}


@pytest.mark.parametrize("embedded", EMBEDDINGS.values(), ids=EMBEDDINGS)
@pytest.mark.parametrize("block", [*IPV4, "224.0.0.0/4"])
def test_no_special_address_is_public_inside_another(block: str, embedded: Callable[[IPv4Address], object]) -> None:
    network = IPv4Network(block)
    for inner in (network[0], network[network.num_addresses // 2], network[-1]):
        assert not is_public(ip_address(str(embedded(inner))))


@pytest.mark.parametrize(
    "address", ["192.0.0.192", "192.88.99.1", "3fff::1", "224.0.0.1", "ff0e::1", "fec0::1", "4000::1", "1::1", "200::1", "fe80::1%eth0"]
)
def test_what_older_pythons_take_for_public_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.1",
        "191.255.255.255",
        "192.0.1.1",
        "192.0.3.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2a00:1450:4001::1",
        "2400:cb00::1",
        "3ffe::1",
    ],
)
def test_the_neighbors_of_special_blocks_are_public(address: str) -> None:
    assert is_public(ip_address(address))
