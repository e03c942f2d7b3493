from __future__ import annotations

import io
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
from PIL import Image, ImageChops, ImageStat

from app.kit.errors import Unprocessable
from app.poster import BUILTIN, PosterInput, fingerprint, load_template, normalise_avatar, read_back, render, template
from app.poster.avatars import fallback
from app.poster.bake import bake
from app.poster.qr import survives

NAMES = [
    "",
    "   \u200b",
    "小明",
    "很长很长很长很长很长很长很长很长很长很长很长很长的名字",
    "长" * 100_000,
    "👨‍👩‍👧‍👦👍🏽🇨🇳1️⃣" * 5,
    "مرحبا 123 (علي) ABC",
    "Z\u0351\u0352\u0353\u0354\u0355\u0356a\u030elgo" * 20,
    "a\x00\u202eb\ud800\ufffec\n\t{nickname}%s",
    "\ue123꧁𓀀꧂",
    "สวัสดีครับ नमस्ते שלום",
    "{title.__class__}",
]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("name", BUILTIN)
def test_the_poster_has_the_size_of_its_canvas_and_stays_under_500_kb(name: str, person: PosterInput) -> None:
    data = render(BUILTIN[name], person)
    image = opened(data)
    assert (image.format, image.size, image.mode) == ("JPEG", (750, 1334), "RGB")
    assert not image.info.get("progressive")
    assert len(data) <= 500_000
    assert opened(render(BUILTIN[name], person, format="png")).format == "PNG"


def test_even_a_noisy_photograph_as_background_stays_under_500_kb(person: PosterInput) -> None:
    noise = Image.effect_noise((1080, 1920), 90).convert("RGB")
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=80)
    document = {
        "width": 1080,
        "height": 1920,
        "background": {"paint": "#FFFFFF", "asset": "photo"},
        "layers": [{"type": "qr", "x": 100, "y": 1400, "size": 420}],
    }
    data = render(load_template(document, {"photo": out.getvalue()}), person)
    assert len(data) <= 500_000
    assert read_back(data) == [person.invite_url]


@pytest.mark.parametrize("nickname", NAMES)
def test_every_name_gives_a_poster_whose_code_reads_as_the_link(nickname: str, person: PosterInput) -> None:
    poster = replace(person, nickname=nickname)
    posters = [render(built_in, poster) for built_in in BUILTIN.values()]
    assert [read_back(data) for data in posters] == [[person.invite_url]] * len(BUILTIN)
    assert survives(opened(posters[0]), person.invite_url)


@pytest.mark.parametrize("name", BUILTIN)
def test_random_codes_read_back_also_scaled_and_compressed(name: str, codes: list[str], person: PosterInput) -> None:
    for code in codes:
        link = f"https://as-long-as-it-may-be.invitree.cn/abc/i/{code}?s=qr"
        poster = replace(person, invite_url=link, invite_code=code)
        assert survives(opened(render(BUILTIN[name], poster)), link)


def test_equal_input_gives_equal_bytes_in_another_process_too(person: PosterInput, jpeg: bytes) -> None:
    poster = replace(person, avatar=normalise_avatar(jpeg))
    here = [render(BUILTIN[name], poster) for name in BUILTIN]
    bake.cache_clear()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = list(pool.map(render, BUILTIN.values(), [poster] * len(BUILTIN)))
    assert here == there == [render(BUILTIN[name], poster) for name in BUILTIN]


def test_a_template_survives_pickling(person: PosterInput) -> None:
    copy = pickle.loads(pickle.dumps(BUILTIN["distribution"]))  # noqa: S301 - our own bytes
    assert copy == BUILTIN["distribution"]
    assert fingerprint(copy, person) == fingerprint(BUILTIN["distribution"], person)


def test_the_fingerprint_changes_with_whatever_changes_the_poster(person: PosterInput) -> None:
    shared = BUILTIN["distribution"]
    changed = [
        replace(person, nickname="小红"),
        replace(person, nickname=""),
        replace(person, nickname=template.NAMELESS),
        replace(person, avatar=b"x"),
        replace(person, avatar=b"y"),
        replace(person, price="60.00"),
        replace(person, invite_url="https://t.invitree.cn/i/8a2b3c4e"),
        replace(person, days=31),
    ]
    prints = [fingerprint(shared, poster) for poster in [person, *changed]]
    prints += [fingerprint(shared, person, format="png"), fingerprint(BUILTIN["refer_a_friend"], person)]
    assert len(set(prints)) == len(prints)
    assert fingerprint(shared, replace(person, nickname="小\x00明🎉")) == prints[0]


def test_the_name_the_avatar_and_the_price_are_on_the_poster(person: PosterInput, jpeg: bytes) -> None:
    def differing(poster: PosterInput) -> tuple[int, int, int, int]:
        pair = (opened(render(BUILTIN["distribution"], p, format="png")) for p in (person, poster))
        area = ImageChops.difference(*pair).getbbox()
        assert area
        return area

    def inside(area: tuple[int, int, int, int], box: tuple[int, int, int, int]) -> bool:
        return box[0] <= area[0] and box[1] <= area[1] and area[2] <= box[2] and area[3] <= box[3]

    assert inside(differing(replace(person, avatar=normalise_avatar(jpeg))), (396, 930, 500, 1034))
    assert inside(differing(replace(person, nickname="小红🎉")), (396, 930, 674, 1100))
    assert inside(differing(replace(person, price="1.00")), (112, 620, 640, 764))
    assert inside(differing(replace(person, invite_url="https://t.invitree.cn/i/xxxxxxxx")), (46, 890, 380, 1224))


@pytest.mark.parametrize("avatar", [b"", b"no picture", b"\xff\xd8\xff\xe0broken"])
def test_a_broken_avatar_gives_way_to_the_first_character(avatar: bytes, person: PosterInput) -> None:
    with_broken = render(BUILTIN["distribution"], replace(person, avatar=avatar))
    assert with_broken == render(BUILTIN["distribution"], person)


def test_the_fallback_avatar_shows_the_first_character_or_a_figure() -> None:
    xiao, figure, foreign = fallback("小明", 128), fallback("", 128), fallback("\ue123", 128)
    for image in (xiao, figure, foreign):
        assert image.size == (128, 128)
        assert ImageStat.Stat(image).stddev[0] > 10
    assert fallback("小明", 128).tobytes() == xiao.tobytes()
    drawn = {fallback(name, 128).tobytes() for name in ("小明", "大明", "", "🎉")}
    assert len(drawn) == 4


def test_an_empty_value_leaves_its_layers_out(person: PosterInput) -> None:
    bare = render(BUILTIN["distribution"], PosterInput(invite_url=person.invite_url))
    assert read_back(bare) == [person.invite_url]
    area = opened(bare).crop((90, 380, 660, 770))
    assert max(ImageStat.Stat(area).stddev) < 1


@pytest.mark.parametrize("link", ["", "https://t.cn/" + "x" * 60, "https://邀请.cn/i/8a2b3c4d", "a\nb"])
def test_an_unfit_link_is_refused(link: str, person: PosterInput) -> None:
    with pytest.raises(Unprocessable) as refused:
        render(BUILTIN["distribution"], replace(person, invite_url=link))
    assert refused.value.code == "invite_url_unfit"


def test_a_forbidden_word_never_reaches_the_poster(person: PosterInput) -> None:
    shown = render(BUILTIN["distribution"], replace(person, nickname="微信官方小明"))
    assert shown == render(BUILTIN["distribution"], replace(person, nickname="＊＊＊＊小明"))


def test_a_warm_poster_takes_tens_of_milliseconds(person: PosterInput) -> None:
    render(BUILTIN["distribution"], person)
    began = time.process_time()
    for i in range(10):
        render(BUILTIN["distribution"], replace(person, nickname=f"小明{i}"))
    assert (time.process_time() - began) / 10 < 0.1
