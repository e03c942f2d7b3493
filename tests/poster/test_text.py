from __future__ import annotations

import os

import pytest
from PIL import Image, ImageChops, ImageDraw

from app.poster import bidi, cmap, faces, text, wrap

STYLE = text.Style(40, False, (0, 0, 0, 255))
NASTY = [
    "欧阳娜娜",
    "䶮㛃𬭎龘镕",
    "👨‍👩‍👧‍👦🎉👍🏽🇨🇳1️⃣☎️❤",
    "مرحبا 123 (علي) ABC",
    "שלום עולם",
    "สวัสดีครับน้ำ",
    "नमस्ते क्षत्रिय",
    "Nguyễn Thị Đặng",
    "Z͓͔͑͒algo",
    "김철수",
    "𝓐𝓵𝓲𝓬𝓮 ≒ ★♥",
    "ｶﾞｷﾞ「全角」ＡＢＣ",
    "\ue123꧁\U0001fae9꧂\U0003fff0",
]


def drawn(words: str, style: text.Style = STYLE) -> Image.Image:
    image = Image.new("RGB", (900, 120), "white")
    text.draw(image, text.letters(words, style), 20, 80)
    return image


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("bold", [False, True])
def test_every_piece_is_drawn_from_a_font_that_has_its_characters(name: str, bold: bool) -> None:
    for piece in text.pieces(text.letters(name, text.Style(40, bold, (0, 0, 0, 255)))):
        if piece.face is not None:
            assert all(ord(c) in faces.coverage(piece.face) for c in piece.text if c not in "\u200d\u200c\ufe0e\ufe0f")


@pytest.mark.parametrize("missing", ["\ue123", "꧁", "\U0003fff0"])
def test_a_character_that_no_font_has_is_a_star_and_no_box(missing: str) -> None:
    assert text.has_missing(text.letters(missing, STYLE))
    star = drawn(missing).convert("L").point(lambda value: 255 - value)
    box = Image.new("L", star.size)
    ImageDraw.Draw(box).text((20, 80), missing, fill=255, font=faces.font("NotoSansSC-Regular.ttf", 40), anchor="ls")
    for ink in (star, box):
        assert ink.getbbox()
    assert ImageChops.difference(trimmed(star), trimmed(box)).getbbox()
    # A box is inked in its corners; the star is bare there and inked in the middle.
    assert trimmed(box).getpixel((0, 0))
    assert not trimmed(star).getpixel((0, 0))
    assert trimmed(star).getpixel((12, 12))


def trimmed(ink: Image.Image) -> Image.Image:
    return ink.crop(ink.getbbox()).resize((25, 25))


def test_the_coverage_table_agrees_with_what_the_font_draws() -> None:
    face = faces.font("NotoSansSC-Regular.ttf", 30)
    unknown = bytes(face.getmask("\U0010fffd"))
    known = cmap.covered(faces.FOLDER / "NotoSansSC-Regular.ttf")
    assert all((bytes(face.getmask(c)) != unknown) == (ord(c) in known) for c in "一龘镕䶮㛃a…￥，≒꧁ก🎉")


def test_all_of_gbk_has_a_glyph() -> None:
    trail = [*range(0x40, 0x7F), *range(0x80, 0xFF)]
    gbk = {bytes((a, b)).decode("gbk", "ignore") for a in range(0x81, 0xFF) for b in trail} - {""}
    characters = {c for c in gbk if len(c) == 1}
    assert len(characters) > 21_000
    for face in ("NotoSansSC-Regular.ttf", "NotoSansSC-Bold.ttf"):
        assert {c for c in characters if ord(c) not in faces.coverage(face)} == {"≒"}
    assert faces.choose("≒", False)[0] is not None


def test_emoji_are_in_colour() -> None:
    colours = drawn("🎉").getcolors(maxcolors=100_000) or []
    assert any(max(rgb) - min(rgb) > 80 for _, rgb in colours if isinstance(rgb, tuple))


def test_scripts_are_shaped_in_continuous_integration() -> None:
    """A machine without libfribidi draws them unshaped, and says so."""
    assert faces.SHAPED or "CI" not in os.environ


@pytest.mark.parametrize("sequence", ["👨‍👩‍👧‍👦", "👍🏽", "🇨🇳", "👩🏽‍🚀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"])
def test_an_emoji_sequence_is_one_picture(sequence: str) -> None:
    pictures = text.width(text.letters(sequence, STYLE)) / text.width(text.letters("🎉", STYLE))
    assert pictures == 1 if faces.SHAPED else pictures >= 1


def test_arabic_letters_are_joined() -> None:
    apart = sum(text.width(text.letters(c, STYLE)) for c in "مرحبا")
    assert text.width(text.letters("مرحبا", STYLE)) < (0.9 if faces.SHAPED else 1.01) * apart


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("abc", "abc"),
        ("אבג", "גבא"),
        ("ab אב גד cd", "ab דג בא cd"),
        ("אב 12 גד", "דג 12 בא"),
        ("אב ab", "ab בא"),
        ("שלום! ab", "ab !םולש"),
        ("中 אב。", "中 בא。"),
        ("", ""),
    ],
)
def test_mixed_directions_are_put_in_reading_order(line: str, shown: str) -> None:
    assert "".join(bidi.reorder(list(line), bidi.levels(list(line)))) == shown


@pytest.mark.parametrize("name", [*NASTY, "很长" * 200, "👨‍👩‍👧‍👦" * 30])
def test_a_cut_line_fits_and_ends_in_an_ellipsis(name: str) -> None:
    whole = text.letters(name, STYLE)
    short = text.cut(whole, 150)
    assert text.width(short) <= 150
    assert short == whole or (short[-1].cluster == "…" and [s.cluster for s in whole][: len(short) - 1])


def test_lines_break_before_no_closing_mark_and_inside_no_word() -> None:
    lines = wrap.wrap(text.letters("增长案例集，一本书 internationalization 好", STYLE), 210, 9)
    shown = ["".join(letter.cluster for letter in line) for line in lines]
    assert "".join(shown).replace(" ", "") == "增长案例集，一本书internationalization好"
    assert not any(line.startswith("，") for line in shown)
    assert all(text.width(line) <= 210 or len(shown) == 9 for line in lines)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("增长案例集一本加一年社群会员", ["增长案例集一本加一年社群", "会员"]),
        ("增长案例集一本加一年社群会员。", ["增长案例集一本加一年社群", "会员。"]),
        ("增长案例集一本加一年社群会员卡", ["增长案例集一本加一年社群会", "员卡"]),
        ("增长案例集一本加一年社群「会」员", ["增长案例集一本加一年社群", "「会」员"]),
        ("internationalizations好", ["internationalizations", "好"]),
    ],
)
def test_the_last_line_of_a_chinese_text_has_two_characters(words: str, shown: list[str]) -> None:
    lines = wrap.wrap(text.letters(words, STYLE), 13 * 40 if words[0] == "增" else 400, 2)
    assert ["".join(letter.cluster for letter in line) for line in lines] == shown


def test_no_line_begins_with_what_closes_nor_ends_with_what_opens() -> None:
    words = "《增长》（一本）、“社群”：《会员》——价格…「好」！"
    for room in range(5 * 40, 14 * 40, 20):
        lines = wrap.wrap(text.letters(words, STYLE), room, 9)
        assert not {line[0].cluster for line in lines} & set("》）、”：—…」！")
        assert not {line[-1].cluster for line in lines} & set("《（“「")


@pytest.mark.parametrize("words", ["好", "好好好", "ab cd", "👨‍👩‍👧🍵"])
def test_a_box_narrower_than_a_letter_still_gets_its_lines(words: str) -> None:
    lines = wrap.wrap(text.letters(words, STYLE), 1, 8)
    assert 1 <= len(lines) <= 8
    assert all(lines)


def test_marks_sit_under_their_letters() -> None:
    ink = drawn("q\u0323\u0331m").convert("L").point(lambda value: 255 - value)
    letter = drawn("m").convert("L").point(lambda value: 255 - value).getbbox()
    below = ink.crop((0, 92, ink.width, ink.height)).getbbox()
    assert letter
    assert letter[3] <= 82
    # Unshaped they are left out: anywhere else they would be wrong.
    assert (below is not None) == faces.SHAPED
    if below is not None:
        assert 20 <= below[0] < below[2] <= 20 + text.width(text.letters("q", STYLE)) + 3
