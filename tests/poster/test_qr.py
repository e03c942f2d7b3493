from __future__ import annotations

import io
from math import isqrt

import pytest
import qrcode
import zxingcpp
from PIL import Image, ImageDraw

from app.kit.errors import InvitreeError
from app.poster import BUILTIN, PosterInput, qr, read_back
from app.poster.document import QrLayer
from app.poster.render import picture

WORST = f"https://{'x' * 33}.example/i/8a2b3c4d"


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("name", BUILTIN)
@pytest.mark.parametrize("link", ["https://t.cn/i/8a2b3c4d", WORST])
def test_the_symbol_is_large_crisp_and_has_its_quiet_zone(name: str, link: str, person: PosterInput) -> None:
    [layer] = [layer for layer in BUILTIN[name].document.layers if isinstance(layer, QrLayer)]
    image = picture(BUILTIN[name], PosterInput(invite_url=link))
    area = image.crop((layer.x + 16, layer.y + 16, layer.x + layer.size - 16, layer.y + layer.size - 16))
    ink = area.convert("L").point(lambda value: 255 if value < 128 else 0).getbbox()
    assert ink
    side, modules = ink[2] - ink[0], qr.modules(link).width
    assert side == ink[3] - ink[1]
    assert side % modules == 0
    assert side >= 200
    assert side >= 0.22 * image.width
    assert ink[0] + 16 >= 4 * side // modules
    colours = area.crop(ink).getcolors(maxcolors=10) or []
    assert len(colours) == 2, "a module is never blurred"


def test_the_symbol_says_what_another_encoder_says() -> None:
    link = "https://t.invitree.cn/i/8a2b3c4d?s=qr"
    reference = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=0)
    reference.add_data(link)
    reference.make(fit=True)
    assert qr.modules(link).width == reference.modules_count
    other = reference.make_image().get_image().convert("L").resize((300, 300), Image.Resampling.NEAREST)
    framed = Image.new("L", (400, 400), 255)
    framed.paste(other, (50, 50))
    assert qr.texts(framed) == [link]


def test_read_back_finds_all_codes_and_refuses_what_is_no_picture() -> None:
    sheet = Image.new("RGB", (800, 400), "white")
    for i, link in enumerate(("https://a.cn/i/1", "https://a.cn/i/2")):
        symbol = qr.modules(link)
        sheet.paste(symbol.resize((250, 250), Image.Resampling.NEAREST), (50 + 400 * i, 50))
    assert sorted(read_back(encoded(sheet))) == ["https://a.cn/i/1", "https://a.cn/i/2"]
    assert read_back(encoded(Image.new("RGB", (100, 100)))) == []
    with pytest.raises(InvitreeError):
        read_back(b"no picture")


def test_a_reader_takes_no_part_of_a_symbol_for_one_of_a_small_kind() -> None:
    image = Image.new("RGB", (600, 400), "white")
    image.paste(qr.modules(WORST).resize((297, 297), Image.Resampling.NEAREST), (50, 50))
    small = zxingcpp.create_barcode("6848", zxingcpp.BarcodeFormat.MicroQRCode)
    view = memoryview(small.to_image(scale=8))  # type: ignore[arg-type]  # its stub forgets it
    side = isqrt(view.nbytes)
    image.paste(Image.frombytes("L", (side, side), view.tobytes()), (400, 50))
    assert len(zxingcpp.read_barcodes(image.convert("L"))) == 2
    assert qr.texts(image) == [WORST]


def test_a_damaged_symbol_does_not_survive() -> None:
    image = Image.new("RGB", (400, 400), "white")
    symbol = qr.modules(WORST).resize((297, 297), Image.Resampling.NEAREST)
    image.paste(symbol, (50, 50))
    assert qr.survives(image, WORST)
    assert not qr.survives(image, WORST + "x")
    ImageDraw.Draw(image).rectangle((150, 150, 260, 260), fill="white")
    assert not qr.survives(image, WORST)
