from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from app.kit.errors import InvitreeError
from app.poster import headers, normalise_asset, normalise_avatar, pictures


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def jpeg_of_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(Image.linear_gradient("L").resize((600, 600)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]


PLAIN = Image.new("RGB", (64, 64), "#123456")
REFUSED = {
    "nothing": (b"", "picture_empty"),
    "text": (b"hello", "picture_format_unsupported"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "picture_format_unsupported"),
    "gif": (encoded(PLAIN, "GIF"), "picture_format_unsupported"),
    "svg posing as PNG": (b"\x89PNG\r\n\x1a\n<svg/>", "picture_damaged"),
    "heavy": (b"\xff\xd8\xff" + b"\0" * pictures.MOST_BYTES, "picture_too_large"),
    "bomb": (png(50_000, 50_000, b"\0" * 1_000_000), "picture_too_many_pixels"),
    "small file of too many pixels to hold": (encoded(Image.new("1", (2500, 2500)), "PNG"), "picture_too_many_pixels"),
    "WebP of too many": (encoded(Image.new("RGB", (2500, 2500)), "WEBP", lossless=True), "picture_too_many_pixels"),
    "thin": (encoded(Image.new("RGB", (1, 900)), "PNG"), "picture_too_small"),
    "promises pixels, has none": (png(2000, 3000), "picture_damaged"),
    "truncated JPEG": (encoded(PLAIN, "JPEG")[:-200], "picture_damaged"),
    "truncated PNG": (encoded(Image.effect_noise((200, 200), 50), "PNG")[:-4000], "picture_damaged"),
    "truncated WebP": (encoded(Image.effect_noise((200, 200), 50).convert("RGB"), "WEBP")[:-4000], "picture_damaged"),
    "JPEG of empty segments": (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000, "picture_damaged"),
    "JPEG of padding": (b"\xff\xd8" + b"\xff" * 4_000_000, "picture_damaged"),
    "JPEG of scans": (jpeg_of_scans(101), "picture_damaged"),
    "CMYK": (encoded(Image.new("CMYK", (64, 64)), "JPEG"), "picture_cmyk"),
    "animated WebP": (
        encoded(PLAIN, "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 64))]),
        "picture_animated",
    ),
    "animated PNG": (
        encoded(PLAIN, "PNG", save_all=True, append_images=[Image.new("RGB", (64, 64))]),
        "picture_animated",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unfit_picture_is_refused_fast_with_a_code(case: str) -> None:
    data, code = REFUSED[case]
    began = time.process_time()
    with pytest.raises(InvitreeError) as refused:
        normalise_avatar(data)
    assert refused.value.code == code
    assert time.process_time() - began < 0.5


MEASURE = """
import sys
from pathlib import Path
from app.kit.errors import InvitreeError
from app.poster import normalise_asset, normalise_avatar
from app.poster.process import memory
for path in sorted(Path(sys.argv[1]).iterdir()):
    for normalise in (normalise_avatar, normalise_asset):
        try:
            normalise(path.read_bytes())
        except InvitreeError:
            continue
        raise SystemExit(f"{path} was taken")
print(memory())
"""


def test_what_is_refused_takes_less_than_150_mib(tmp_path: Path) -> None:
    """All of them in one process, and large ones of which only the end is missing."""
    large = Image.linear_gradient("L").resize((2400, 2400))
    truncated = [
        encoded(large.resize((4000, 4000)).convert("RGB"), "JPEG", progressive=True)[:-2000],
        encoded(large.convert("RGBA"), "PNG", compress_level=1)[:-2000],
        encoded(large.convert("RGB"), "WEBP", method=0)[:-2000],
    ]
    for number, data in enumerate([*truncated, *(data for data, _ in REFUSED.values())]):
        (tmp_path / f"{number:03}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150 * 1024 * 1024


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *(("JPEG", mode) for mode in ("RGB", "L")),
        *(("PNG", mode) for mode in ("RGB", "L", "RGBA", "P", "LA", "1", "I;16")),
        *(("WEBP", mode) for mode in ("RGB", "L", "RGBA", "P")),
    ],
)
def test_an_avatar_becomes_a_small_square_jpeg(photo: Image.Image, form: str, mode: str) -> None:
    source = Image.new("I;16", (400, 300), 40_000) if mode == "I;16" else photo.convert(mode)
    avatar = opened(normalise_avatar(encoded(source, form)))
    assert (avatar.format, avatar.mode, avatar.size) == ("JPEG", "RGB", (256, 256))
    if mode in ("RGB", "RGBA", "P"):
        left, right = avatar.getpixel((20, 128)), avatar.getpixel((236, 128))
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        assert left[0] > 150 > left[2]
        assert right[2] > 150 > right[0]


def test_a_photograph_is_turned_upright_and_tells_nothing_of_its_maker(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825)[1] = "N"
    data = encoded(photo, "JPEG", exif=exif, comment=b"secret", icc_profile=b"x" * 200)
    avatar = opened(normalise_avatar(data))
    top, bottom = avatar.getpixel((128, 20)), avatar.getpixel((128, 236))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 150 > top[2]
    assert bottom[2] > 150 > bottom[0]
    assert not avatar.getexif()
    assert not {"exif", "comment", "icc_profile"} & set(avatar.info)
    assert b"secret" not in normalise_asset(data)


def test_transparent_parts_of_an_avatar_are_white() -> None:
    logo = Image.new("RGBA", (300, 300))
    ImageDraw.Draw(logo).ellipse((100, 100, 200, 200), fill="#FF0000FF")
    assert opened(normalise_avatar(encoded(logo, "PNG"))).getpixel((4, 4)) == (255, 255, 255)


def test_an_asset_keeps_its_transparency_and_fits_the_largest_canvas() -> None:
    logo = Image.new("RGBA", (3000, 1500), "#FF000080")
    asset = opened(normalise_asset(encoded(logo, "PNG")))
    assert (asset.format, asset.mode) == ("PNG", "RGBA")
    assert asset.width == 1080


def test_what_is_kept_of_an_asset_is_taken_again() -> None:
    dice = random.Random(4)
    noise = Image.frombytes("RGBA", (1080, 1400), dice.randbytes(1080 * 1400 * 4))
    kept = normalise_asset(encoded(noise, "WEBP", quality=50, alpha_quality=50))
    assert pictures.check(kept).format == "PNG"
    assert opened(kept).width < 1080, "it would have had more than 5 MiB"
    with pytest.raises(InvitreeError, match="picture_too_small"):
        normalise_asset(encoded(Image.new("RGB", (4000, 20)), "PNG"))


def test_the_largest_picture_allowed_is_taken_fast() -> None:
    data = encoded(Image.linear_gradient("L").resize((4000, 4000)).convert("RGB"), "JPEG", progressive=True)
    began = time.process_time()
    assert opened(normalise_avatar(data)).size == (256, 256)
    assert time.process_time() - began < 2


def test_a_progressive_jpeg_of_many_scans_is_taken() -> None:
    assert headers.read(jpeg_of_scans(100)).format == "JPEG"
    assert opened(normalise_avatar(jpeg_of_scans(12))).size == (256, 256)


def test_header_sizes_are_those_of_the_decoder(photo: Image.Image) -> None:
    for form, options in (
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exact": True}),
    ):
        data = encoded(photo, form, **options)
        header = headers.read(data)
        assert (header.format, header.width, header.height) == (form, 400, 300)
    alpha = encoded(photo.convert("RGBA"), "WEBP")
    assert (headers.read(alpha).width, headers.read(alpha).height) == (400, 300)


def test_mutilated_pictures_raise_nothing_but_our_errors(jpeg: bytes, photo: Image.Image) -> None:
    for source in (jpeg, encoded(photo, "PNG"), encoded(photo, "WEBP")):
        for at in range(0, min(len(source), 600), 5):
            broken = source[:at] + bytes([source[at] ^ 0xFF]) + source[at + 1 :]
            try:
                normalise_avatar(broken)
            except InvitreeError as error:
                assert error.code.startswith("picture_")  # noqa: PT017 - either outcome is right
