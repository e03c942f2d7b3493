"""The table's symbols are an encoder's."""

from __future__ import annotations

import random
import re

import pytest
import qrcode
from qrcode.util import QRData

from app.poster import symbols
from app.poster.document import Level

LEVELS: dict[Level, int] = {
    "M": qrcode.ERROR_CORRECT_M,
    "Q": qrcode.ERROR_CORRECT_Q,
    "H": qrcode.ERROR_CORRECT_H,
}
# Up to 60 characters with a code of 8.
SHAPES = [("https://t.cn/i/", ""), ("https://t.invitree.cn/i/", "?s=qr"), ("https://" + "x" * 36 + "/i/", "?s=qr")]


def codes(count: int, seed: int = 1) -> list[str]:
    dice = random.Random(seed)
    return ["".join(dice.choices(symbols.ALPHABET, k=8)) for _ in range(count)]


def reference(link: str, level: Level, side: int) -> list[list[bool | None]]:
    """By another encoder, told the same version and mask."""
    code = qrcode.QRCode(version=(side - 17) // 4, error_correction=LEVELS[level], mask_pattern=symbols.MASK, border=0)
    code.add_data(QRData(link.encode(), mode=4))  # bytes
    code.make(fit=False)
    return code.modules


def rows(symbol: symbols.Symbol) -> list[list[bool]]:
    pixels = symbol.picture().tobytes()
    return [[value == 0 for value in pixels[at : at + symbol.side]] for at in range(0, len(pixels), symbol.side)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("prefix", "suffix"), SHAPES)
def test_thousands_of_codes_equal_the_encoder(level: Level, prefix: str, suffix: str) -> None:
    family = symbols.family(prefix, suffix, 8, level)
    fixed = {"version": (family.side - 17) // 4, "data_mask": symbols.MASK}
    for code in codes(500):
        if not re.search(r"\d\d\d", code):  # which it would pack more tightly
            assert family.member(code) == symbols.encode(f"{prefix}{code}{suffix}", level, **fixed)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("prefix", "suffix"), SHAPES)
def test_another_encoder_agrees(level: Level, prefix: str, suffix: str) -> None:
    family = symbols.family(prefix, suffix, 8, level)
    for code in [*codes(12, seed=2), "23456789"]:
        assert rows(family.member(code)) == reference(f"{prefix}{code}{suffix}", level, family.side)


def test_a_code_of_other_letters_is_encoded_without_a_table() -> None:
    link = "https://t.cn/i/ILOUX"
    assert symbols.symbol(link, "ILOUX") == symbols.encode(link, "M") == symbols.symbol(link)


def test_the_table_serves_the_code_and_not_what_looks_like_it() -> None:
    link = "https://aaaa.cn/i/aaaa?s=qr"
    prefix, suffix = "https://aaaa.cn/i/", "?s=qr"
    assert symbols.symbol(link, "aaaa") == symbols.family(prefix, suffix, 4, "M").member("aaaa")
