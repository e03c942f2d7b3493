"""Events that merchants' servers hand in: `POST /v1/events` against a server that reads as much and answers as much.

One event a request is what is promised. A hundred events a request are shown beside it: a bare answer does the same
nothing for one event and for a hundred, so there it is the events that tell, not the requests.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from benchmarks.ceilings import ANSWER, Given
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
from benchmarks.load.crowd import CHANNELS, CRAWLER, Crowd, draw_agent, gather_crowd
from benchmarks.load.plan import NUMBER, Shot
from benchmarks.load.servers import Served, as_in_production, serve_ceiling, served
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.server import serve
from proofs.frame.stage import Stage

LEAST_OF_BARE, MOST_OF_GENERATOR = 0.60, 0.75
MAIN, QUICK = Setting(1, 64, rounds=7, seconds=2.0), Setting(1, 64, rounds=3, seconds=1.0)
VARIANTS = {
    "256-connections": Setting(1, 256, rounds=3, seconds=1.5),
    "2-processes": Setting(2, 64, rounds=3, seconds=1.5),
    "2-processes-256-connections": Setting(2, 256, rounds=3, seconds=1.5),
}
MANY = 100
SINGLE_REQUESTS, MANY_REQUESTS = 4_096, 128
TYPES = ("click", "scan", "view", "share")
WITH_CHANNEL, WITH_VISITOR = 0.5, 0.8
PATIENCE = 600
NEEDLE = b'"accepted"'


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    crowd = await gather_crowd(stage)
    setting = QUICK if quick else MAIN
    async with _contest(as_in_production(stage), crowd) as contest:
        ones = await contest.run(setting, ("bare", "invitree"))
        say_how(ones)
        figures = _figures(ones)
        for name, variant in {} if quick else VARIANTS.items():
            results = await contest.run(variant, ("bare", "invitree"))
            say_how(results)
            figures.append(beside(f"track-post.{name}", results, own="invitree", ceiling="bare"))
        hundreds = await contest.run(setting, ("bare-100", "invitree-100"))
        say_how(hundreds)
        return [*figures, *_events(hundreds, ones), await contest.counted("track-post", crowd)]


BENCH = Entry("track-post", run, seconds=PATIENCE, durable=True)


@contextlib.asynccontextmanager
async def _contest(stage: Stage, crowd: Crowd) -> AsyncIterator[Contest]:
    dice = random.Random(1)
    strangers = await gather_crowd(stage, people=1)
    with contextlib.ExitStack() as cleanup:
        invitree = served(cleanup.enter_context(serve(stage, processes=2)))
        servers: dict[str, Served] = {}
        ammunition: dict[str, Ammunition] = {}
        for ending, events, requests, processes in (("", 1, SINGLE_REQUESTS, 2), (f"-{MANY}", MANY, MANY_REQUESTS, 1)):
            given = await _answer("http://{}:{}".format(*invitree.addresses[0]), strangers, events)
            variables = {ANSWER: msgspec.json.encode(given).decode()}
            bare = cleanup.enter_context(serve_ceiling("bare_post", variables, processes=processes))
            servers |= {f"bare{ending}": bare, f"invitree{ending}": invitree}
            own = load(crowd, dice, requests=requests, events=events)
            ammunition |= {f"invitree{ending}": own, f"bare{ending}": _for_bare(own, given)}
        yield Contest(stage, servers, ammunition, own=("invitree", f"invitree-{MANY}"))


async def _answer(base_url: str, crowd: Crowd, events: int) -> Given:
    body = json.dumps([_event(crowd, random.Random(place), 0, place)[0] for place in range(events)])
    headers = {"Authorization": f"Bearer {crowd.merchant.test_key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as client:
        answer = await client.post("/v1/events", content=body.replace(NUMBER.decode(), f"{events:08x}"))
    assert answer.status_code == 200, answer.text
    return Given(200, [pair for pair in answer.headers.items() if pair[0] != "date"], answer.text)


def load(crowd: Crowd, dice: random.Random, *, requests: int, events: int) -> Ammunition:
    shots, tallies = [], []
    for _ in range(requests):
        drawn = [_event(crowd, dice, place, number) for number, place in enumerate(crowd.draw(dice, events))]
        tally = Tally(key for _, key in drawn)
        human = sum(number for (_, counter), number in tally.items() if counter != "bot_hits")
        shots.append(Shot(_request(crowd.merchant.test_key, [event for event, _ in drawn]), 200, human))
        tallies.append(tally)
    return Ammunition(shots, NEEDLE, tallies)


def _event(crowd: Crowd, dice: random.Random, place: int, number: int) -> tuple[Mapping[str, Any], tuple[int, str]]:
    """The event as it is sent, and what it adds to."""
    kind, agent = dice.choice(TYPES), draw_agent(dice)
    event = {
        "event_id": f"{NUMBER.decode()}-{number}",
        "type": kind,
        "invite_code": crowd.codes[place],
        "user_agent": agent,
    }
    if dice.random() < WITH_VISITOR:
        event["visitor_id"] = f"device-{dice.randrange(100_000)}"
    if dice.random() < WITH_CHANNEL:
        event["channel"] = dice.choice(CHANNELS)
    return event, (place, "bot_hits" if agent == CRAWLER else f"{kind}s")


def _request(key: str, events: Sequence[Mapping[str, Any]]) -> bytes:
    body = json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode()
    lines = (
        "POST /v1/events HTTP/1.1",
        "Host: t.invitree.cn",
        "X-Forwarded-For: 36.1.2.3",
        "User-Agent: shop/1.0",
        "Accept: application/json",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _for_bare(own: Ammunition, given: Given) -> Ammunition:
    """The same requests; each is answered alike."""
    times = given.body.count(NEEDLE.decode())
    return Ammunition([Shot(shot.request, 200, times) for shot in own.shots], NEEDLE, own.tallies)


def _figures(results: Results) -> list[Figure]:
    return [
        at_least("track-post", results, own="invitree", ceiling="bare", least=LEAST_OF_BARE, words="of a bare POST"),
        generator_is_cheap("track-post", results, ceiling="bare", most=MOST_OF_GENERATOR),
        *processor_times("track-post", results, own="invitree", ceiling="bare"),
    ]


def _events(hundreds: Results, ones: Results) -> list[Figure]:
    """By the request, and by the event against bare answers to single events."""
    many, bare = f"invitree-{MANY}", f"bare-{MANY}"
    events, single = hundreds.middle(many) * MANY, ones.middle("bare")
    ratio = events / single if single else 0.0
    return [
        beside(f"track-post.{MANY}", hundreds, own=many, ceiling=bare),
        Figure(f"track-post.{MANY}.events", events, "events/s", single, ratio, SHOWN, ok=hundreds.is_right),
    ]
