"""Which addresses that strangers gave may be called. Pure."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Called global by Python, yet not the public Internet: a site's own translator, IPv4 written as IPv6, the old private
# addresses, those of protocols, and a cloud's metadata.
_DENIED = (
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("::/96"),
    ipaddress.ip_network("fec0::/10"),
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),
)


def may_call(address: Address | None, *, development: bool) -> bool:
    """Whether a call may go there: the public Internet only, so that no address given reaches what stands beside us.

    Development may call itself. `is_private` would not do: it lets 100.100.100.200, a cloud's metadata, through.
    """
    if address is None:
        return development
    if development and address.is_loopback:
        return True
    return all(_is_public(each) for each in _meant(address))


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in network for network in _DENIED)


def _meant(address: Address) -> list[Address]:
    """The address, and the IPv4 one that it carries through some gateway."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        found.extend(each for each in carried if each is not None)
    return found


def literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
