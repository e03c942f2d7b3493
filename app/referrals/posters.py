"""What a participant's poster shows: template, name, avatar, link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.campaigns.document import RuleDocument, Side
from app.db.rows import one_of
from app.kit import ids, links, money
from app.kit.errors import FieldError, Unprocessable, not_found
from app.models import Asset, Campaign, CampaignRule, Member, Merchant, Participant
from app.poster import BUILTIN, SAMPLE, PosterInput, Template
from app.referrals import assets, queries, templates

# Days that come with the friend's registration; what hangs on a later purchase is no promise for a poster.
_ON_REGISTERING = frozenset({"signup", "phone_verified"})
_CODE = "8a2b3c4d"

Composed = tuple[Template, PosterInput]


async def of_participant(
    session: AsyncSession,
    *,
    merchant_id: str,
    participant_id: str,
    public_url: str,
    shared: bool = False,
    template_id: str | None = None,
) -> Composed:
    """Ready for the renderer, in the template that the participant picked or in another one of the campaign's.

    NotFound `participant_not_found`, `poster_template_not_found`. `shared`: asked for by whoever has the code. To them
    a campaign that was never published does not exist (`invite_code_not_found`); one that is over still has its
    posters, for they hang on walls.
    """
    _held = await _gathered(session, merchant_id, [participant_id])
    participant = await queries.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=participant.campaign_id)
    if shared and campaign.status == "draft":
        raise not_found("invite_code")
    names = await offered(session, campaign)
    if template_id not in (None, *names):
        raise not_found("poster_template")
    name = template_id or picked(participant, names)
    template = await _template(session, merchant_id, name, campaign.poster_template_versions.get(name))
    return template, await personal(
        session, campaign, await _texts(session, campaign), participant, public_url=public_url
    )


async def of_many(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str,
    participant_ids: Sequence[str],
    public_url: str,
    fixed: tuple[str, int | None] | None = None,
) -> list[Composed]:
    """Each participant's poster in turn: in the template that each picked, or all in a `fixed` one of that version."""
    _held = await _gathered(session, merchant_id, participant_ids)
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    names, shared = await offered(session, campaign), await _texts(session, campaign)
    known: dict[str, Template] = {}
    composed = []
    for participant_id in participant_ids:
        person = await queries.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
        name, version = fixed or (picked(person, names), None)
        if name not in known:
            version = version or campaign.poster_template_versions.get(name)
            known[name] = await _template(session, merchant_id, name, version)
        composed.append((known[name], await personal(session, campaign, shared, person, public_url=public_url)))
    return composed


async def _gathered(session: AsyncSession, merchant_id: str, participant_ids: Sequence[str]) -> Sequence[object]:
    """All that participants' posters are made of, in one statement instead of six.

    As long as the caller holds it, the session knows these rows: who asks for one by its key afterwards has it.
    """
    own = Participant.merchant_id == merchant_id
    rule = and_(
        CampaignRule.merchant_id == Campaign.merchant_id,
        CampaignRule.campaign_id == Campaign.id,
        CampaignRule.version == Campaign.rule_version,
    )
    portrait = and_(Asset.merchant_id == merchant_id, Asset.id == Member.avatar_asset_id, Campaign.poster_avatars)
    statement = (
        select(Participant, Campaign, Merchant, CampaignRule, Member, Asset)
        .join(Campaign, and_(Campaign.merchant_id == merchant_id, Campaign.id == Participant.campaign_id))
        .join(Merchant, Merchant.id == Participant.merchant_id)
        .join(CampaignRule, rule)
        .join(Member, and_(Member.merchant_id == merchant_id, Member.id == Participant.member_id))
        .outerjoin(Asset, portrait)
        .where(own, one_of(Participant.id, filter(_is_id, participant_ids)))
    )
    return (await session.execute(statement)).all()


def _is_id(text: str) -> bool:
    try:
        ids.decode("ptc", text)
    except ValueError:
        return False
    return True


async def offered(session: AsyncSession, campaign: Campaign) -> list[str]:
    """Templates that its participants may pick from, by id or built-in name; the first where nobody picks."""
    if campaign.poster_template_ids:
        return campaign.poster_template_ids
    merchant = await session.get_one(Merchant, campaign.merchant_id)
    return ["merchant_registration" if merchant.is_house else templates.builtin_for(campaign.kind)]


async def _template(session: AsyncSession, merchant_id: str, name: str, version: int | None = None) -> Template:
    """Also the one that only the house offers."""
    if name in BUILTIN:
        return BUILTIN[name]
    return await templates.find(session, merchant_id=merchant_id, template_id=name, version=version)


def picked(participant: Participant, names: Sequence[str]) -> str:
    """What was picked, as long as the campaign still offers it."""
    own = participant.poster_template_id
    return own if own in names and own is not None else names[0]


async def pick(session: AsyncSession, *, merchant_id: str, participant_id: str, template_id: str | None) -> Participant:
    """Let a participant's poster be of this template, or (None) of the campaign's first.

    Unprocessable `poster_template_not_offered` where it is none of the campaign's.
    """
    participant = await queries.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=participant.campaign_id)
    if template_id is not None and template_id not in await offered(session, campaign):
        detail = "The campaign does not offer this template; see its `poster_template_ids`."
        field = FieldError("/poster_template_id", "poster_template_not_offered", detail)
        raise Unprocessable("poster_template_not_offered", detail, errors=[field])
    participant.poster_template_id = template_id
    await session.flush()
    return participant


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
    found = None if asset_id is None else await session.get(Asset, (merchant_id, asset_id))
    return found.content if found else None


def days_for(rule: RuleDocument, side: Side) -> int | None:
    """What one registration brings that side."""
    return sum(reward.days for reward in rule.rewards if reward.to == side and reward.on in _ON_REGISTERING) or None
