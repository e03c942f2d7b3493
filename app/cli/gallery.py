"""Every built-in poster, with people whose names are hard to draw: files, and a page to look at them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from app.cli.demo.people import draw_avatar
from app.poster import BUILTIN, OFFERED, SAMPLE, PosterInput
from app.poster.renderer import Renderer

PAGE = "index.html"
_TITLES = {**OFFERED, "merchant_registration": "商户注册"}
_HEAD = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>海报画廊 · Poster gallery</title>
<style>
body{margin:0;background:#f4f1ec;color:#2b2622;font:16px/1.5 system-ui,"Noto Sans SC","PingFang SC",sans-serif}
main{max-width:1120px;margin:auto;padding:24px 16px 48px}
h1{margin:0 0 4px;font-size:28px}h2{margin:36px 0 12px;font-size:20px}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:16px}
figure{margin:0}img{display:block;width:100%;height:auto;border-radius:12px;box-shadow:0 6px 20px #0002}
figcaption{margin-top:8px;font-size:14px;color:#5f564e;overflow-wrap:anywhere}
</style></head><body><main>
<h1>海报画廊 <small>Poster gallery</small></h1>
<p>每一款内置海报，配上名字难画的五个人。Each built-in poster, with five people whose names are hard to draw.</p>
"""


@dataclass(frozen=True, slots=True)
class Sitter:
    """`caption` says what is hard about the name."""

    name: str
    caption: str
    has_avatar: bool = True


SITTERS = (
    Sitter("欧阳雪莉·阿卜杜热合曼·冯·施瓦岑贝格", "很长的名字 long name"),
    Sitter("小满👩‍💻👍🏽🇨🇳👨‍👩‍👧", "表情 emoji"),
    Sitter("宋知夏", "没有头像 no avatar", has_avatar=False),
    Sitter("Zoë Fitzgerald-Łukasz", "拉丁字母 Latin"),
    Sitter("عبد الرحمن الأندلسي", "阿拉伯文 Arabic"),
)


async def write(renderer: Renderer, folder: Path, done: Callable[[], None] = lambda: None) -> Path:
    """The page's path; `done` after each poster."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    rng = random.Random(8)  # noqa: S311 - faces, no secrets
    faces = [draw_avatar(rng) if sitter.has_avatar else None for sitter in SITTERS]
    for name in BUILTIN:
        for number, (sitter, face) in enumerate(zip(SITTERS, faces, strict=True), 1):
            content = await renderer.render(BUILTIN[name], _poster(sitter, face, number))
            await asyncio.to_thread((folder / _file(name, number)).write_bytes, content)
            done()
    page = folder / PAGE
    await asyncio.to_thread(page.write_text, _page(), "utf-8")
    return page


def count() -> int:
    return len(BUILTIN) * len(SITTERS)


def _poster(sitter: Sitter, face: bytes | None, number: int) -> PosterInput:
    code = f"k7m2x9q{number + 1}"
    link = f"https://invitree.example/i/{code}?s=qr"
    return replace(SAMPLE, nickname=sitter.name, avatar=face, invite_code=code, invite_url=link)


def _file(name: str, number: int) -> str:
    return f"{name}-{number}.jpg"


def _page() -> str:
    rows = [f"<h2>{_TITLES[name]}</h2>\n<div class=row>\n{_row(name)}</div>\n" for name in BUILTIN]
    return f"{_HEAD}{''.join(rows)}</main></body></html>\n"


def _row(name: str) -> str:
    return "".join(
        f'<figure><a href="{_file(name, number)}"><img src="{_file(name, number)}" width="750" height="1334"'
        f' loading="lazy" alt="{_TITLES[name]}：{escape(sitter.name)}"></a>'
        f"<figcaption>{sitter.caption}</figcaption></figure>\n"
        for number, sitter in enumerate(SITTERS, 1)
    )
