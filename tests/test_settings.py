"""What a start refuses, and how it says so."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from app.kit import crypto, ids, links
from app.settings import Settings


def settings(public_url: str) -> Settings:
    return Settings(
        environment="development",
        database_url="postgresql://nobody@nowhere/none",
        database_system_url="postgresql://nobody@nowhere/none",
        redis_url="redis://nowhere",
        secret_key=SecretStr(crypto.new_key()),
        encryption_keys=SecretStr(f"k1:{crypto.new_key()}"),
        blind_index_key=SecretStr(crypto.new_key()),
        public_url=public_url,
    )


def test_the_longest_address_still_fits_a_poster() -> None:
    longest = settings("https://" + "x" * 36).public_url
    assert len(links.scan_link(longest, ids.new_invite_code())) == links.LONGEST


@pytest.mark.parametrize(
    "address", ["https://t.example.com/", "http://127.0.0.1:8000", "http://[::1]:8000", "https://a.cn/b"]
)
def test_usual_addresses_are_taken(address: str) -> None:
    assert settings(address).public_url == address.rstrip("/")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://" + "x" * 37, "at most 44 characters, not 45"),
        ("t.example.com", "begins with https://"),
        ("ftp://t.example.com", "begins with https://"),
        ("https://例子.cn", "written in ASCII"),
        ("https://a b.cn", "written in ASCII"),
        ("https://", "begins with https://"),
    ],
)
def test_an_address_that_no_poster_can_carry_stops_the_start(address: str, said: str) -> None:
    with pytest.raises(ValidationError, match=f"INVITREE_PUBLIC_URL .*{said}"):
        settings(address)
