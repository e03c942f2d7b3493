from __future__ import annotations

import pytest

from app.poster import graphemes


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\x00b\x07c\x7f", "abc"),
        ("一\t二\r\n三", "一 二 三"),
        ("\u202eabc\u2066d\u200f", "abcd"),
        ("e\u0301", "é"),
        ("a\ufe00b\U000e0101", "ab"),
        ("\ud800x", "x"),
        ("\ufeffx\ufffe", "x"),
        ("ㅤ⠀x", " x"),
        ("👨\u200d👩", "👨\u200d👩"),
    ],
)
def test_clean_drops_what_cannot_be_drawn(typed: str, kept: str) -> None:
    assert graphemes.clean(typed) == kept


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("小明", ["小", "明"]),
        ("👨‍👩‍👧‍👦👍🏽", ["👨‍👩‍👧‍👦", "👍🏽"]),
        ("🇨🇳🇯🇵🇺", ["🇨🇳", "🇯🇵", "🇺"]),
        ("1️⃣❤️", ["1️⃣", "❤️"]),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿x", ["🏴󠁧󠁢󠁳󠁣󠁴󠁿", "x"]),
        ("น้ำใจ", ["น้ำ", "ใ", "จ"]),
        ("क्षि", ["क्षि"]),
        ("\u1112\u1161\u11ab", ["\u1112\u1161\u11ab"]),
        ("\u0301a", ["a"]),
        ("", []),
    ],
)
def test_split_keeps_together_what_readers_see_as_one(text: str, clusters: list[str]) -> None:
    assert graphemes.split(text) == clusters


def test_a_tower_of_marks_is_cut_down() -> None:
    [cluster] = graphemes.split("Z" + "\u0351" * 40)
    assert len(cluster) == 1 + graphemes.MOST_MARKS


def test_an_endless_name_costs_no_more_than_a_long_one() -> None:
    assert len(graphemes.clean("长" * 1_000_000)) == graphemes.LONGEST
