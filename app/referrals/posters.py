"""What a participant's poster shows: template, name, avatar, link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.campaigns.document import RuleDocument, Side
from app.kit import links, money
from app.kit.errors import not_found
from app.models import Campaign, Member, Merchant, Participant
from app.poster import BUILTIN, SAMPLE, PosterInput, Template
from app.referrals import assets, queries, templates

# Days that come with the friend's registration; what hangs on a later purchase is no promise for a poster.
_ON_REGISTERING = frozenset({"signup", "phone_verified"})
_CODE = "8a2b3c4d"

Composed = tuple[Template, PosterInput]


async def of_participant(
    session: AsyncSession, *, merchant_id: str, participant_id: str, public_url: str, shared: bool = False
) -> Composed:
    """Ready for the renderer; NotFound `participant_not_found`.

    `shared`: asked for by whoever has the code. To them a campaign that was never published does not exist
    (`invite_code_not_found`); one that is over still has its posters, for they hang on walls.
    """
    participant = await queries.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=participant.campaign_id)
    if shared and campaign.status == "draft":
        raise not_found("invite_code")
    template, poster = await of_campaign(session, campaign=campaign)
    return template, await personal(session, campaign, poster, participant, public_url=public_url)


async def of_campaign(session: AsyncSession, *, campaign: Campaign, template_id: str | None = None) -> Composed:
    """What the posters of a campaign share: its texts, and its template or the one that is asked for."""
    if template_id is not None:
        template = await templates.find(session, merchant_id=campaign.merchant_id, template_id=template_id)
    else:
        template = await template_of(session, campaign=campaign)
    return template, await _texts(session, campaign)


async def of_many(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str,
    participant_ids: Sequence[str],
    public_url: str,
    template_id: str | None = None,
) -> tuple[Template, list[PosterInput]]:
    """The campaign's template, and what each of its participants' posters shows, in turn."""
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    template, shared = await of_campaign(session, campaign=campaign, template_id=template_id)
    people = [
        await queries.get_participant(session, merchant_id=merchant_id, participant_id=p) for p in participant_ids
    ]
    return template, [await personal(session, campaign, shared, person, public_url=public_url) for person in people]


async def personal(
    session: AsyncSession, campaign: Campaign, poster: PosterInput, participant: Participant, *, public_url: str
) -> PosterInput:
    """A campaign's poster with one participant's name and link, and the picture where the campaign shows pictures."""
    merchant_id = participant.merchant_id
    member = await session.get_one(Member, (merchant_id, participant.member_id))
    picture = member.avatar_asset_id if campaign.poster_avatars else None
    return replace(
        poster,
        invite_url=links.scan_link(public_url, participant.invite_code),
        invite_code=participant.invite_code,
        nickname=member.nickname or "",
        avatar=await _picture(session, merchant_id, picture),
    )


async def sample(
    session: AsyncSession,
    *,
    merchant_id: str,
    template_id: str,
    campaign_id: str | None,
    nickname: str,
    avatar_asset_id: str | None,
    public_url: str,
) -> Composed:
    """A template as it will look, with a campaign's texts where one is named; its code leads nowhere."""
    template = await templates.find(session, merchant_id=merchant_id, template_id=template_id)
    poster = SAMPLE
    if campaign_id is not None:
        campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
        poster = await _texts(session, campaign)
    if avatar_asset_id is not None:
        await assets.require(session, merchant_id=merchant_id, asset_id=avatar_asset_id)
    return template, replace(
        poster,
        invite_url=links.scan_link(public_url, _CODE),
        invite_code=_CODE,
        nickname=nickname,
        avatar=await _picture(session, merchant_id, avatar_asset_id),
    )


async def template_of(session: AsyncSession, *, campaign: Campaign) -> Template:
    """The campaign's first template, or the built-in one of its kind."""
    merchant_id = campaign.merchant_id
    if campaign.poster_template_ids:
        return await templates.find(session, merchant_id=merchant_id, template_id=campaign.poster_template_ids[0])
    merchant = await session.get_one(Merchant, merchant_id)
    return BUILTIN["merchant_registration"] if merchant.is_house else templates.builtin_for(campaign.kind)


async def _texts(session: AsyncSession, campaign: Campaign) -> PosterInput:
    merchant = await session.get_one(Merchant, campaign.merchant_id)
    rule = await campaigns.get_rule(session, merchant_id=campaign.merchant_id, campaign_id=campaign.id)
    return PosterInput(
        invite_url="",
        title=str(campaign.landing.get("headline") or campaign.name),
        product=campaign.product_name or "",
        price="" if campaign.price_minor is None else money.yuan(campaign.price_minor),
        days=days_for(rule, "invitee"),
        inviter_days=days_for(rule, "inviter"),
        merchant=str(campaign.landing.get("organiser") or merchant.name),
    )


async def _picture(session: AsyncSession, merchant_id: str, asset_id: str | None) -> bytes | None:
    if asset_id is None:
        return None
    return (await assets.contents(session, merchant_id=merchant_id, asset_ids=[asset_id])).get(asset_id)


def days_for(rule: RuleDocument, side: Side) -> int | None:
    """What one registration brings that side."""
    return sum(reward.days for reward in rule.rewards if reward.to == side and reward.on in _ON_REGISTERING) or None
