"""A known participant comes back with another invite: who has it depends on the campaign's binding mode."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.campaigns.document import AttributionRule, Binding, RuleDocument
from app.models import Campaign, CampaignRule, Participant, Referral
from app.referrals import locks
from app.referrals.rules import binding_ends_at, may_take_over
from app.resources import Resources
from tests.factories import MerchantFixture, make_participant
from tests.factories.campaigns import BOTH_SIDES
from tests.factories.invites import events, open_campaign, sign_up
from tests.factories.locks import until_blocked

DAY = 86_400
NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def open_with(
    resources: Resources, merchant: MerchantFixture, binding: Binding
) -> tuple[Campaign, Participant, Participant]:
    """A campaign bound this way, with two inviters. Its rule is a second version, since versions never change."""
    campaign, one = await open_campaign(resources, merchant)
    document = RuleDocument(rewards=BOTH_SIDES, attribution=AttributionRule(binding=binding)).model_dump(mode="json")
    async with resources.db.tenant(merchant.test_id) as session:
        session.add(CampaignRule(merchant_id=merchant.test_id, campaign_id=campaign.id, version=2, document=document))
        campaign = await session.get_one(Campaign, (merchant.test_id, campaign.id))
        campaign.rule_version = 2
        return campaign, one, await make_participant(session, campaign)


async def again(api: httpx.AsyncClient, campaign: Campaign, inviter: Participant) -> dict[str, Any]:
    answer = await sign_up(api, campaign, inviter.invite_code, external_id="friend")
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_in_override_mode_the_last_code_wins_and_grants_nothing_more(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, other = await open_with(resources, merchant, Binding(mode="override", days=None))
    first = await again(api, campaign, one)
    owed = await events(resources, merchant)
    second = await again(api, campaign, other)
    assert second["participant"]["id"] == first["participant"]["id"]
    assert second["participant"]["inviter_id"] == second["referral"]["inviter_id"] == other.id
    assert second["referral"]["id"] == first["referral"]["id"]
    assert second["referral"]["decision"]["won"] == "took_over"
    assert second["referral"]["decision"]["before"] == one.id
    assert second["rewards"] == first["rewards"]
    assert await events(resources, merchant) == owed


async def test_a_binding_of_days_holds_until_they_are_over(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, other = await open_with(resources, merchant, Binding(mode="days", days=10))
    await again(api, campaign, one)
    await api.post("/v1/test-clock", json={"advance_seconds": 9 * DAY})
    assert (await again(api, campaign, other))["participant"]["inviter_id"] == one.id
    await api.post("/v1/test-clock", json={"advance_seconds": DAY})
    assert (await again(api, campaign, other))["participant"]["inviter_id"] == other.id


async def test_the_same_inviter_may_bind_anew_once_its_days_are_over(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, other = await open_with(resources, merchant, Binding(mode="days", days=10))
    first = await again(api, campaign, one)
    await api.post("/v1/test-clock", json={"advance_seconds": 9 * DAY})
    assert (await again(api, campaign, one))["referral"] == first["referral"]
    await api.post("/v1/test-clock", json={"advance_seconds": 2 * DAY})
    second = await again(api, campaign, one)
    assert (second["referral"]["id"], second["referral"]["decision"]["won"]) == (first["referral"]["id"], "renewed")
    assert second["referral"]["binding_ends_at"] > first["referral"]["binding_ends_at"]
    assert second["participant"] == first["participant"]
    assert (await again(api, campaign, other))["participant"]["inviter_id"] == one.id


async def test_of_rivals_at_the_end_of_a_binding_one_wins_and_keeps_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, _ = await open_with(resources, merchant, Binding(mode="days", days=10))
    await again(api, campaign, one)
    async with resources.db.tenant(merchant.test_id) as session:
        rivals = [await make_participant(session, campaign) for _ in range(4)]
    await api.post("/v1/test-clock", json={"advance_seconds": 11 * DAY})
    async with resources.db.tenant(merchant.test_id) as session:
        await locks.alone(session, campaign.id)
        running = [asyncio.create_task(again(api, campaign, rival)) for rival in rivals]
        await until_blocked(resources, *running)
    answers = await asyncio.gather(*running)
    (winner,) = {answer["referral"]["inviter_id"] for answer in answers}
    assert winner in {rival.id for rival in rivals}


async def test_a_permanent_binding_stays(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, other = await open_with(resources, merchant, Binding(mode="permanent", days=None))
    first = await again(api, campaign, one)
    assert first["referral"]["binding_ends_at"] is None
    await api.post("/v1/test-clock", json={"advance_seconds": 3_000 * DAY})
    assert (await again(api, campaign, other))["participant"]["inviter_id"] == one.id


async def test_taking_over_a_friend_by_its_own_friend_would_be_a_circle(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, _ = await open_with(resources, merchant, Binding(mode="override", days=None))
    friend = await again(api, campaign, one)
    below = (await sign_up(api, campaign, friend["participant"]["invite_code"])).json()["participant"]
    answer = await sign_up(api, campaign, below["invite_code"], external_id="friend")
    assert (answer.status_code, answer.json()["code"]) == (409, "referral_cycle")


async def test_rivals_in_override_mode_leave_one_referral_and_no_deadlock(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, one, other = await open_with(resources, merchant, Binding(mode="override", days=None))
    both = [one, other] * 10
    answers = await asyncio.gather(
        *(
            sign_up(api, campaign, inviter.invite_code, external_id="friend", nickname=f"名{number}")
            for number, inviter in enumerate(both)
        )
    )
    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    async with resources.db.tenant(merchant.test_id) as session:
        assert await session.scalar(select(func.count()).select_from(Referral)) == 1


@pytest.mark.parametrize(
    ("mode", "bound", "ends_in_days", "wins"),
    [
        ("permanent", True, None, False),
        ("permanent", False, None, False),
        ("days", True, 1, False),
        ("days", True, 0, True),
        ("days", True, -1, True),
        ("days", False, None, False),
        ("override", True, None, True),
        ("override", False, None, True),
    ],
)
def test_who_may_take_over(mode: Any, bound: bool, ends_in_days: int | None, wins: bool) -> None:
    rule = AttributionRule(binding=Binding(mode=mode))
    ends_at = None if ends_in_days is None else NOW + timedelta(days=ends_in_days)
    assert may_take_over(rule, bound=bound, ends_at=ends_at, now=NOW) is wins


def test_an_inviter_takes_nobody_over_from_itself() -> None:
    override, days = (AttributionRule(binding=Binding(mode=mode)) for mode in ("override", "days"))
    assert may_take_over(override, bound=True, ends_at=None, now=NOW, same=True) is False
    assert may_take_over(days, bound=True, ends_at=NOW, now=NOW, same=True) is True


def test_only_a_binding_of_days_ends() -> None:
    assert binding_ends_at(AttributionRule(binding=Binding(mode="days", days=3)), NOW) == NOW + timedelta(days=3)
    for mode in ("permanent", "override"):
        assert binding_ends_at(AttributionRule(binding=Binding(mode=mode)), NOW) is None
