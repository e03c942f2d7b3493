"""A thousand posters that nobody would design: each is what a full encode gives, and its QR is read as the link."""

from __future__ import annotations

import asyncio
import io
import random
from collections import Counter
from collections.abc import Iterator

from PIL import Image

from app.poster import PosterInput, Template, qr, read_back, render
from app.poster.render import encode, picture
from proofs import poster_cases
from proofs.frame import preloaded
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.stage import Stage

TEMPLATES, QUICK_TEMPLATES = 40, 3
PEOPLE = 25
PROCESSES = 2
PATIENCE = 900
WHAT = ("spliced as encoded whole", "read as the link", "read at 40 % and quality 60", "PNG as drawn")


async def run(_: Stage, quick: bool) -> Finding:
    templates = QUICK_TEMPLATES if quick else TEMPLATES
    with preloaded.context().Pool(PROCESSES) as pool:
        results = await asyncio.to_thread(pool.map, _posters, range(templates), 1)
    found, faults = Counter[str](), list[str]()
    for held, wrong in results:
        found += held
        faults += wrong
    count = templates * PEOPLE
    return Finding(
        dict.fromkeys(WHAT, count),
        {what: found[what] for what in WHAT},
        load=count,
        injected=count,  # pictures made small and bad, as chat apps do
        least_load=count,
        faults=faults,
    )


PROOF = Entry("posters", run, seconds=PATIENCE, weight=7)


def _posters(seed: int) -> tuple[Counter[str], list[str]]:
    """All of one template: how often each thing held, and where one did not."""
    dice = random.Random(seed)
    template = poster_cases.template(dice)
    held, faults = Counter[str](), []
    for poster in poster_cases.people(dice, PEOPLE):
        kept = set(_holding(template, poster))
        held.update(kept)
        faults += [f"template {seed}, {poster.nickname!r}, {poster.invite_url}: not {w}" for w in WHAT if w not in kept]
    return held, faults


def _holding(template: Template, poster: PosterInput) -> Iterator[str]:
    data, whole = render(template, poster), picture(template, poster)
    links = [poster.invite_url]
    checks = (
        data == encode(whole, "jpeg"),
        read_back(data) == links,
        qr.texts(qr.degraded(Image.open(io.BytesIO(data)))) == links,
        Image.open(io.BytesIO(render(template, poster, "png"))).tobytes() == whole.tobytes(),
    )
    return (what for what, holds in zip(WHAT, checks, strict=True) if holds)
