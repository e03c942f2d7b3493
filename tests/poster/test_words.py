from __future__ import annotations

import pytest

from app.poster import filter_nickname
from app.poster.words import default_words

WORDS = ("官方客服", "spam")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("小明", "小明"),
        ("官方客服小明", "＊＊＊＊小明"),
        ("我是官方客服", "我是＊＊＊＊"),
        ("官 方-客.服", "＊＊＊＊＊＊＊"),
        ("官\u200b方客服!", "＊＊＊＊＊!"),
        ("SpAm and ｓｐａｍ", "＊＊＊＊ and ＊＊＊＊"),
        ("官方", "官方"),
        ("", ""),
        ("🎉spam🎉", "🎉＊＊＊＊🎉"),
    ],
)
def test_forbidden_words_are_starred(name: str, shown: str) -> None:
    assert filter_nickname(name, WORDS) == shown


def test_no_words_hide_nothing() -> None:
    assert filter_nickname("官方客服", []) == "官方客服"


def test_the_default_list_hides_its_own_words() -> None:
    assert len(default_words()) > 10
    for word in default_words():
        assert set(filter_nickname(word)) == {"＊"}
