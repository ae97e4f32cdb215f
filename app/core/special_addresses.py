"""Addresses that are not a host on the internet: the special-purpose address registries of IANA, whole.

`ipaddress.is_global` differs between releases of Python, and follows the registries years later. The tables are copied from
https://www.iana.org/assignments/iana-ipv4-special-registry and https://www.iana.org/assignments/iana-ipv6-special-registry,
as updated on 2025-10-09. To update them: copy the column "Address Block" of both registries, and the date.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

IPV4: Final = {
    "0.0.0.0/8": "this network",
    "0.0.0.0/32": "this host on this network",
    "10.0.0.0/8": "private use",
    "100.64.0.0/10": "shared address space",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link local",
    "172.16.0.0/12": "private use",
    "192.0.0.0/24": "IETF protocol assignments",
    "192.0.0.0/29": "IPv4 service continuity prefix",
    "192.0.0.8/32": "IPv4 dummy address",
    "192.0.0.9/32": "Port Control Protocol anycast",
    "192.0.0.10/32": "TURN anycast",
    "192.0.0.170/32": "NAT64/DNS64 discovery",
    "192.0.0.171/32": "NAT64/DNS64 discovery",
    "192.0.2.0/24": "documentation (TEST-NET-1)",
    "192.31.196.0/24": "AS112-v4",
    "192.52.193.0/24": "AMT",
    "192.88.99.0/24": "deprecated (6to4 relay anycast)",
    "192.88.99.2/32": "6a44-relay anycast address",
    "192.168.0.0/16": "private use",
    "192.175.48.0/24": "direct delegation AS112 service",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation (TEST-NET-2)",
    "203.0.113.0/24": "documentation (TEST-NET-3)",
    "240.0.0.0/4": "reserved",
    "255.255.255.255/32": "limited broadcast",
}
"""The blocks of the IPv4 registry, and what each is for."""

IPV6: Final = {
    "::1/128": "loopback address",
    "::/128": "unspecified address",
    "::ffff:0:0/96": "IPv4-mapped address",
    "64:ff9b::/96": "IPv4-IPv6 translation",
    "64:ff9b:1::/48": "IPv4-IPv6 translation, local use",
    "100::/64": "discard-only address block",
    "100:0:0:1::/64": "dummy IPv6 prefix",
    "2001::/23": "IETF protocol assignments",
    "2001::/32": "TEREDO",
    "2001:1::1/128": "Port Control Protocol anycast",
    "2001:1::2/128": "TURN anycast",
    "2001:1::3/128": "DNS-SD Service Registration Protocol anycast",
    "2001:2::/48": "benchmarking",
    "2001:3::/32": "AMT",
    "2001:4:112::/48": "AS112-v6",
    "2001:10::/28": "deprecated (previously ORCHID)",
    "2001:20::/28": "ORCHIDv2",
    "2001:30::/28": "Drone Remote ID Protocol entity tags",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "direct delegation AS112 service",
    "3fff::/20": "documentation",
    "5f00::/16": "Segment Routing (SRv6) SIDs",
    "fc00::/7": "unique-local",
    "fe80::/10": "link-local unicast",
}
"""The same of the IPv6 registry."""

_SPECIAL4: Final = tuple(map(IPv4Network, IPV4))
_SPECIAL6: Final = tuple(map(IPv6Network, IPV6))
_MULTICAST: Final = IPv4Network("224.0.0.0/4")
_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA has allocated as global unicast; the rest of the IPv6 space is reserved or special."""
_CARRIERS: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""An IPv4 address is the last 32 bits of these, and packets to them arrive there."""
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface identifier whose lower half is an IPv4 address."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address can be a host on the internet. One that carries an IPv4 address is as public as that one."""
    if isinstance(address, IPv4Address):
        return address not in _MULTICAST and not any(address in block for block in _SPECIAL4)
    inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in block for block in _CARRIERS):
        return is_public(inner)
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and not is_public(inner):
        return False
    return address in _UNICAST and not any(address in block for block in _SPECIAL6)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
