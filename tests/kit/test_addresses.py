from __future__ import annotations

import ipaddress

import pytest

from app.kit import addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "224.0.1.1",
        "::1",
        "fe80::1",
        "fd12::1",
        "ff0e::1",
        "::ffff:10.0.0.1",
        "2002:0a00:0001::1",
        "64:ff9b::a00:1",
        "64:ff9b:1::5db8:d70e",
        "::5db8:d70e",
        "fec0::1",
        "192.0.0.9",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "64:ff9b::a83f:8110",
    ],
)
def test_addresses_beside_us_are_not_called_in_production(address: str) -> None:
    assert not addresses.may_call(ipaddress.ip_address(address), development=False)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_called(address: str) -> None:
    assert addresses.may_call(ipaddress.ip_address(address), development=False)
