"""Channels: anybody may invent names, a campaign keeps the first 200, and every store sees the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import TextClause, insert, text
from sqlalchemy.exc import DBAPIError

from app.db.session import Database
from app.models import CampaignChannel
from app.resources import Resources
from app.settings import Settings
from app.tracking import channels, lookup
from app.tracking.channels import Channels
from app.tracking.codes import CampaignFacts, KnownCampaign
from app.tracking.keys import Keys, shard_of
from app.tracking.live import numbers
from app.tracking.lookup import MOST_CHANNELS
from tests.factories import MerchantFixture, make_merchant
from tests.factories.locks import until_blocked
from tests.factories.tracking import WECHAT, Link, make_link, settle

_NAMES = text("SELECT name FROM campaign_channels WHERE campaign_id = :campaign ORDER BY number")
_COUNTED = text(
    "SELECT channel, sum(clicks)::int FROM participant_totals WHERE campaign_id = :campaign GROUP BY channel"
)
_STORED = text("SELECT channel, count(*)::int FROM tracked_events WHERE campaign_id = :campaign GROUP BY channel")


def known(link: Link) -> KnownCampaign:
    return KnownCampaign(CampaignFacts(link.merchant_id, link.campaign_id, "active", None, None, None, 0))


def process(db: Database) -> Channels:
    """What one process has of it."""
    return Channels(partial(lookup.register_channel, db))


async def names_of(resources: Resources, link: Link) -> list[str]:
    async with resources.db.system() as session:
        return list(await session.scalars(_NAMES, {"campaign": link.target.campaign_id}))


async def by_channel(resources: Resources, link: Link) -> tuple[dict[str, int], ...]:
    """Clicks as Redis, the rollups and the rows have them."""
    keys = Keys(shard_of(link.target.campaign_id, 2))
    found: Any = await resources.redis.hgetall(keys.hours(link.target.campaign_id))
    live: dict[str, int] = {}
    for field, number in numbers(found).items():
        _, channel, _ = field.split("|")
        live[channel] = live.get(channel, 0) + number
    await settle(resources)
    return live, await _sums(resources, _COUNTED, link), await _sums(resources, _STORED, link)


async def _sums(resources: Resources, statement: TextClause, link: Link) -> dict[str, int]:
    async with resources.db.system() as session:
        found = await session.execute(statement, {"campaign": link.target.campaign_id})
        return {channel: int(number) for channel, number in found}


async def fill(resources: Resources, link: Link, count: int) -> None:
    async with resources.db.system() as session:
        rows = [
            {"merchant_id": link.merchant_id, "campaign_id": link.campaign_id, "name": f"n{number}", "number": number}
            for number in range(1, count + 1)
        ]
        await session.execute(insert(CampaignChannel), rows)


@pytest.fixture
async def other_db(settings: Settings) -> AsyncIterator[Database]:
    db = Database.from_settings(settings)
    yield db
    await db.close()


async def click(http: httpx.AsyncClient, link: Link, channel: str) -> None:
    answer = await http.get(link.path, params={"ch": channel}, headers={"User-Agent": WECHAT})
    assert answer.status_code == 302


def item(link: Link, event_id: str, channel: str) -> dict[str, Any]:
    return {"event_id": event_id, "type": "click", "invite_code": link.code, "channel": channel}


async def test_of_two_processes_that_register_too_many_the_first_200_names_win(
    resources: Resources, other_db: Database, link: Link
) -> None:
    await fill(resources, link, MOST_CHANNELS - 10)
    one, two = process(resources.db), process(other_db)
    campaigns = known(link), known(link)
    rivals = [
        process_.find(campaign, f"rival-{number}")
        for number in range(20)
        for process_, campaign in ((one, campaigns[0]), (two, campaigns[1]))
    ]
    given = await asyncio.gather(*rivals)
    names = await names_of(resources, link)
    assert len(names) == len(set(names)) == MOST_CHANNELS
    kept = set(names) - {f"n{number}" for number in range(MOST_CHANNELS)}
    assert set(given) == kept & {f"rival-{number}" for number in range(20)} | {"other"}
    # Whatever came between, both count a name under itself, or neither does.
    for number in range(20):
        answers = {await one.find(campaigns[0], f"rival-{number}"), await two.find(campaigns[1], f"rival-{number}")}
        assert len(answers) == 1


async def test_two_names_that_want_the_same_number_are_both_kept(
    resources: Resources, other_db: Database, link: Link
) -> None:
    campaign = known(link)
    async with resources.db.system() as session:
        row = {"merchant_id": link.merchant_id, "campaign_id": link.campaign_id, "name": "first", "number": 1}
        await session.execute(insert(CampaignChannel), [row])
        second = asyncio.create_task(process(other_db).find(campaign, "second"))
        await until_blocked(resources, second)
    assert await second == "second"
    assert await names_of(resources, link) == ["first", "second"]
    assert campaign.facts.channels == {"first", "second"}


async def test_a_new_name_is_registered_once_and_a_full_campaign_is_not_asked_again(link: Link) -> None:
    asked: list[str] = []
    at_once = []

    async def register(_merchant: object, _campaign: object, name: str) -> frozenset[str]:
        at_once.append(name)
        await asyncio.sleep(0)
        assert at_once == [name]
        at_once.clear()
        asked.append(name)
        names = frozenset(f"n{number}" for number in range(MOST_CHANNELS - 2))
        return names | frozenset(asked) if len(asked) <= 2 else names | frozenset(asked[:2])

    own, campaign = Channels(register), known(link)
    names = ["moments", "moments", "group", "direct", "other", "group", "late"]
    assert await asyncio.gather(*(own.find(campaign, name) for name in names)) == [*names[:-1], "other"]
    assert asked == ["moments", "group"]
    assert [own.at_hand(campaign, name) for name in ("group", "another")] == ["group", "other"]


async def test_while_the_database_is_away_a_new_name_counts_as_other(link: Link) -> None:
    now, away, asked = [0.0], [True], []

    async def register(_merchant: object, _campaign: object, name: str) -> frozenset[str]:
        asked.append(name)
        if away[0]:
            raise ConnectionRefusedError
        return frozenset({name})

    own, campaign = Channels(register, clock=lambda: now[0]), known(link)
    assert [await own.find(campaign, name) for name in ("a", "b", "direct")] == ["other", "other", "direct"]
    assert asked == ["a"]
    away[0], now[0] = False, channels.PAUSE_SECONDS
    assert await own.find(campaign, "b") == "b"


async def test_every_store_counts_under_the_same_names(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    await fill(resources, link, MOST_CHANNELS - 2)
    for channel in ("Moments", "moments", "n7", "", "a|b"):
        await click(http, link, channel)
    events = [item(link, str(n), name) for n, name in enumerate(("MOMENTS", "group", "one more", "one-more", "other"))]
    assert {entry["status"] for entry in (await api.post("/v1/events", json=events)).json()["data"]} == {"accepted"}
    await click(http, link, "too-late")
    # `other`: a|b, `one more`, which is no name; `one-more` and `too-late`, which are two too many; and itself.
    expected = {"moments": 3, "n7": 1, "direct": 1, "group": 1, "other": 5}
    assert await by_channel(resources, link) == (expected, expected, expected)
    assert (await names_of(resources, link))[-2:] == ["moments", "group"]


async def test_a_name_that_another_process_registered_is_the_same_name(
    resources: Resources, other_db: Database, link: Link
) -> None:
    assert await process(other_db).find(known(link), "moments") == "moments"
    assert await process(resources.db).find(known(link), "moments") == "moments"
    assert await names_of(resources, link) == ["moments"]


async def test_nothing_but_a_counted_event_registers_a_name(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    foreign = await make_link(resources, (await make_merchant(resources)).test_id)
    draft = await make_link(resources, merchant.test_id, status="draft")
    events = [item(foreign, "a", "theirs"), item(draft, "b", "early")]
    answers = (await api.post("/v1/events", json=events)).json()["data"]
    assert [entry["code"] for entry in answers] == ["invite_code_unknown", "campaign_not_active"]
    await click(http, draft, "early")
    assert await names_of(resources, foreign) == await names_of(resources, draft) == []


async def test_the_database_itself_keeps_no_more_than_200(resources: Resources, link: Link) -> None:
    with pytest.raises(DBAPIError, match="ck_campaign_channels_number"):
        await fill(resources, link, MOST_CHANNELS + 1)


async def test_a_merchant_reads_its_own_names_and_writes_none(
    resources: Resources, merchant: MerchantFixture, link: Link
) -> None:
    foreign = await make_link(resources, (await make_merchant(resources)).test_id)
    for each in (link, foreign):
        await fill(resources, each, 1)
    async with resources.db.tenant(merchant.test_id) as session:
        campaigns = list(await session.scalars(text("SELECT campaign_id FROM campaign_channels")))
    assert campaigns == [link.target.campaign_id]
    for statement in (
        "INSERT INTO campaign_channels SELECT merchant_id, campaign_id, 'x', 2 FROM campaign_channels",
        "UPDATE campaign_channels SET name = 'x'",
        "DELETE FROM campaign_channels",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with resources.db.tenant(merchant.test_id) as session:
                await session.execute(text(statement))
