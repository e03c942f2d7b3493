"""One signup sent many thousand times at once, by rival inviters, to several API processes: it happens once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import func, select

from app.cli.output import progress
from app.models import Campaign, Member, MembershipGrant, Participant, Referral, Reward
from proofs.frame.command import Entry
from proofs.frame.receiver import Receiver, deliver_all, open_receiver
from proofs.frame.report import Finding
from proofs.frame.server import serve
from proofs.frame.stage import Stage
from tests.factories import MerchantFixture, make_merchant, make_participant
from tests.factories.invites import new_phone, open_campaign

RIVALS = 100
DUPLICATES, QUICK_DUPLICATES = 10_000, 160
# Only the first requests of a person meet nothing: further people make as many more races at the start.
FURTHER, QUICK_FURTHER, EACH = 40, 2, 64
CONNECTIONS = 64
PROCESSES = 2
TABLES = (Member, Participant, Referral, Reward, MembershipGrant)
MOST_RETRIES = 20
PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Try:
    """One answer: its status, who it says the inviter is, and the time in which it was under way."""

    person: str
    status: int
    inviter_id: str
    began: float
    ended: float


@dataclass(slots=True)
class Ring:
    """The campaign with its rivals, and what was tried."""

    merchant: MerchantFixture
    campaign: Campaign
    codes: Sequence[str]
    addresses: Sequence[str]
    retries: int = 0
    tries: list[Try] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def run(stage: Stage, quick: bool) -> Finding:
    async with open_receiver() as receiver:
        with serve(stage, processes=PROCESSES) as server:
            ring = await open_ring(stage, [process.base_url for process in server.processes])
            before = await count(stage, ring.merchant)
            headers = {"Authorization": f"Bearer {ring.merchant.test_key}"}
            limits = httpx.Limits(max_connections=CONNECTIONS)
            async with httpx.AsyncClient(
                base_url=server.base_url, headers=headers, limits=limits, timeout=60, trust_env=False
            ) as client:
                await client.post("/v1/webhook-endpoints", json={"url": receiver.url})
                people = await sign_up_all(client, ring, quick=quick)
            ring.faults += server.faults()
        await deliver_all(stage.resources)
    after = await count(stage, ring.merchant)
    made = {name: after[name] - before[name] for name in after}
    return judge(ring, made, receiver, people=people, quick=quick)


PROOF = Entry("race-signup", run, seconds=PATIENCE, weight=10)


async def open_ring(stage: Stage, addresses: Sequence[str]) -> Ring:
    merchant = await make_merchant(stage.resources)
    campaign, _ = await open_campaign(stage.resources, merchant)
    async with stage.resources.db.tenant(merchant.test_id) as session:
        rivals = [await make_participant(session, campaign) for _ in range(RIVALS)]
    return Ring(merchant, campaign, [rival.invite_code for rival in rivals], addresses)


async def sign_up_all(client: httpx.AsyncClient, ring: Ring, *, quick: bool) -> int:
    """How many people there were; the first of them came the many thousand times."""
    further, duplicates = (QUICK_FURTHER, QUICK_DUPLICATES) if quick else (FURTHER, DUPLICATES)
    with progress() as bar:
        task = bar.add_task("signups", total=duplicates + further * EACH)
        for times in (duplicates, *[EACH] * further):
            await sign_up_once(client, ring, new_phone(), times)
            bar.advance(task, times)
    return 1 + further


async def sign_up_once(client: httpx.AsyncClient, ring: Ring, phone: str, times: int) -> None:
    """As many requests as connections are under way at any time; each rival is named in turn."""
    waiting = iter(range(times))

    async def work() -> None:
        for number in waiting:
            await try_once(client, ring, phone, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())


async def try_once(client: httpx.AsyncClient, ring: Ring, phone: str, number: int) -> None:
    body = {
        "campaign_id": ring.campaign.id,
        "member": {"phone": spelled(phone, number)},
        "invite_code": ring.codes[number % len(ring.codes)],
    }
    began = time.monotonic()
    answer = await post(client, ring, number, body)
    ended = time.monotonic()
    if answer.status_code not in (200, 201):
        ring.faults.append(f"{answer.status_code} {answer.text[:200]}")
        return
    inviter_id = (answer.json()["referral"] or {}).get("inviter_id", "")
    ring.tries.append(Try(phone, answer.status_code, inviter_id, began, ended))


async def post(client: httpx.AsyncClient, ring: Ring, number: int, body: dict[str, Any]) -> httpx.Response:
    """By the processes in turn. A connection that breaks is tried again, as every client does, and counted."""
    address = f"{ring.addresses[number % len(ring.addresses)]}/v1/signups"
    try:
        return await client.post(address, json=body)
    except httpx.TransportError:
        ring.retries += 1
        return await client.post(address, json=body)


def spelled(phone: str, number: int) -> str:
    """One number is one person, however it is written."""
    national = phone.removeprefix("+86")
    ways = (phone, national, f"0086 {national}", f"{national[:3]} {national[3:7]}-{national[7:]}")
    return ways[number % len(ways)] if random.random() < 0.5 else phone


async def count(stage: Stage, merchant: MerchantFixture) -> Counter[str]:
    async with stage.resources.db.tenant(merchant.test_id) as session:
        return Counter(
            {table.__tablename__: await session.scalar(select(func.count()).select_from(table)) for table in TABLES}
        )


def judge(ring: Ring, made: dict[str, int], receiver: Receiver, *, people: int, quick: bool) -> Finding:
    """One of everything a person, two rewards; the same inviter in every answer; each webhook once."""
    tries = ring.tries
    inviters = {
        person: {each.inviter_id for each in tries if each.person == person} for person in {t.person for t in tries}
    }
    found = {
        **made,
        "first answers (201)": sum(each.status == 201 for each in tries),
        "inviters named": sum(len(named) for named in inviters.values()),
        **{f"webhook {name}": receiver.types[name] for name in ("participant.created", "referral.created")},
        "webhook reward.granted": receiver.types["reward.granted"],
        "webhooks sent twice": sum(times > 1 for times in receiver.calls.values()),
        "broken connections": ring.retries,
        "faults": len(ring.faults),
    }
    twice = {"rewards", "membership_grants", "webhook reward.granted"}
    none = {"webhooks sent twice", "faults"}
    expected = {name: 0 if name in none else 2 * people if name in twice else people for name in found}
    # A few may break on a busy machine; what counts is that the second try changes nothing.
    expected["broken connections"] = min(ring.retries, MOST_RETRIES)
    asked = (QUICK_DUPLICATES if quick else DUPLICATES) + (people - 1) * EACH
    return Finding(expected, found, len(tries), crossed(tries), asked, people * 10, ring.faults)


def crossed(tries: Sequence[Try]) -> int:
    """Requests that were under way while the one that won was: without them there was no race."""
    winners = {each.person: each for each in tries if each.status == 201}
    return sum(
        each.status != 201 and each.began < winners[each.person].ended and each.ended > winners[each.person].began
        for each in tries
        if each.person in winners
    )
