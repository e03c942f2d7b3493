"""Which addresses that strangers gave may be called. Pure."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def may_call(address: Address | None, *, development: bool) -> bool:
    """Whether a call may go there: the public Internet only, so that no address given reaches what stands beside us.

    Development may call itself. `is_private` would not do: it lets 100.100.100.200, a cloud's metadata, through.
    """
    if address is None:
        return development
    if development and address.is_loopback:
        return True
    return all(each.is_global and not each.is_multicast for each in _meant(address))


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
