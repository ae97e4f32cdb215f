from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.core.addresses import check_url, is_public
from app.core.errors import InvalidInput

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
        None,
        7,
    ],
)
def test_a_url_that_could_mean_something_else_is_refused(url: object) -> None:
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
