"""Opening invite links: `GET /i/{code}` answered when Redis has the click, against a server that records nothing.

The ceiling is a bare application on the same server, with the same settings, that gives the same 302 with the same
headers. The third is what one would write first: FastAPI and an awaited pipeline of redis-py for each hit. (kutt, an
open-source shortener that is often compared with, is no package that could be started here: it is left out.)
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx
import msgspec

from benchmarks.ceilings import ANSWER, REDIS, Given
from benchmarks.load.contest import (
    SHOWN,
    Ammunition,
    Contest,
    Results,
    Setting,
    Tally,
    at_least,
    beside,
    generator_is_cheap,
    processor_times,
    say_how,
)
from benchmarks.load.crowd import CHANNELS, CRAWLER, Crowd, collect_cookies, draw_address, draw_agent, gather_crowd
from benchmarks.load.plan import Shot
from benchmarks.load.servers import as_in_production, serve_ceiling, served
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.server import serve
from proofs.frame.stage import Stage

LEAST_OF_BARE, LEAST_OVER_PLAIN, MOST_OF_GENERATOR = 0.60, 5.0, 0.75
MAIN, QUICK = Setting(1, 64, rounds=7, seconds=2.0), Setting(1, 64, rounds=3, seconds=1.0)
VARIANTS = {
    "256-connections": Setting(1, 256, rounds=3, seconds=1.5),
    "2-processes": Setting(2, 64, rounds=3, seconds=1.5),
    "2-processes-256-connections": Setting(2, 256, rounds=3, seconds=1.5),
}
REQUESTS, RETURNING, COOKIES = 8_192, 0.30, 300
SCANNED, WITH_CHANNEL = 0.6, 0.25
INCR_SECONDS = 1.0
PATIENCE = 600
NEEDLE = b"event-id:"


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    crowd = await gather_crowd(stage)
    async with _contest(as_in_production(stage), crowd) as contest:
        results = await contest.run(QUICK if quick else MAIN, ("bare", "invitree", "plain"))
        say_how(results)
        figures = _figures(results)
        figures.append(await _incr(stage, results))
        for name, setting in {} if quick else VARIANTS.items():
            variant = await contest.run(setting, ("bare", "invitree"))
            say_how(variant)
            figures.append(beside(f"track-get.{name}", variant, own="invitree", ceiling="bare"))
        return [*figures, await contest.counted("track-get", crowd)]


BENCH = Entry("track-get", run, seconds=PATIENCE, durable=True)


@contextlib.asynccontextmanager
async def _contest(stage: Stage, crowd: Crowd) -> AsyncIterator[Contest]:
    dice = random.Random(1)
    strangers = await gather_crowd(stage, people=1)
    with contextlib.ExitStack() as cleanup:
        invitree = served(cleanup.enter_context(serve(stage, processes=2)))
        base_url = "http://{}:{}".format(*invitree.addresses[0])
        cookies = await collect_cookies(base_url, strangers.codes[0], dice, COOKIES)
        variables = {ANSWER: await _answer(base_url, strangers.codes[0]), REDIS: stage.stack.redis_url}
        bare = cleanup.enter_context(serve_ceiling("bare_get", variables, processes=2))
        plain = cleanup.enter_context(serve_ceiling("plain", variables))
        ammunition = load(crowd, cookies, dice)
        servers = {"bare": bare, "invitree": invitree, "plain": plain}
        yield Contest(stage, servers, dict.fromkeys(servers, ammunition), own=("invitree",))


async def _answer(base_url: str, code: str) -> str:
    """A first visit's, as most are."""
    headers = {"User-Agent": draw_agent(random.Random(2)), "X-Forwarded-For": "36.1.2.3"}
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
        answer = await client.get(f"/i/{code}", headers=headers)
    assert answer.status_code == 302, answer.text
    given = Given(answer.status_code, [pair for pair in answer.headers.items() if pair[0] != "date"], "")
    return msgspec.json.encode(given).decode()


def load(crowd: Crowd, cookies: Sequence[tuple[str, str]], dice: random.Random) -> Ammunition:
    shots, tallies = [], []
    for place in crowd.draw(dice, REQUESTS):
        is_scan, cookie = dice.random() < SCANNED, ""
        agent, address = draw_agent(dice), draw_address(dice)
        if dice.random() < RETURNING and agent != CRAWLER:
            agent, cookie = dice.choice(cookies)
        channel = f"&ch={dice.choice(CHANNELS)}" if dice.random() < WITH_CHANNEL else ""
        path = f"/i/{crowd.codes[place]}?s={'qr' if is_scan else ''}{channel}"
        shots.append(Shot(_request(path, agent, address, cookie), 302, 1))
        counter = "bot_hits" if agent == CRAWLER else "scans" if is_scan else "clicks"
        tallies.append(Tally({(place, counter): 1}))
    return Ammunition(shots, NEEDLE, tallies)


def _request(path: str, agent: str, address: str, cookie: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: t.invitree.cn",
        f"X-Forwarded-For: {address}",
        f"User-Agent: {agent}",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Encoding: gzip, deflate, br",
        "Accept-Language: zh-CN,zh;q=0.9",
        *([f"Cookie: {cookie}"] if cookie else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _figures(results: Results) -> list[Figure]:
    own = {"own": "invitree"}
    return [
        at_least("track-get", results, **own, ceiling="bare", least=LEAST_OF_BARE, words="of a bare server"),
        at_least(
            "track-get.plain", results, **own, ceiling="plain", least=LEAST_OVER_PLAIN, words="× FastAPI + redis-py"
        ),
        generator_is_cheap("track-get", results, ceiling="bare", most=MOST_OF_GENERATOR),
        *processor_times("track-get", results, **own, ceiling="bare"),
    ]


async def _incr(stage: Stage, results: Results) -> Figure:
    """For orientation: one INCR at a time on each of as many connections, awaited, by the client that the rest uses."""
    redis, done = stage.resources.redis, Counter[str]()
    until = time.perf_counter() + INCR_SECONDS

    async def caller() -> None:
        while time.perf_counter() < until:
            await redis.incr("bench:incr")
            done["incr"] += 1

    await asyncio.gather(*(caller() for _ in range(MAIN.connections)))
    rate, value = done["incr"] / INCR_SECONDS, results.middle("invitree")
    return Figure("track-get.incr", value, "requests/s", rate, value / rate, f"{SHOWN}: awaited INCRs", ok=True)
