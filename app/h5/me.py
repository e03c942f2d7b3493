"""A participant's own page: poster, friends, rewards, earnings; behind the session that a phone code opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps import ResourcesDep
from app.campaigns import queries as campaign_queries
from app.commissions import queries as commission_queries
from app.db.pages import PageQuery
from app.h5 import shop
from app.h5.errors import form_text
from app.h5.pages import redirect, render
from app.h5.sessions import Visitor, require_session
from app.h5.terms import CHECKOUT_STATUS
from app.kit import people
from app.kit.errors import InvitreeError, not_found
from app.ledger import queries as ledger_queries
from app.models import Participant
from app.referrals import assets, avatars, posters
from app.referrals import queries as referral_queries
from app.resources import Resources
from app.rewards import queries as reward_queries
from app.tracking import queries as tracking_queries

router = APIRouter()
SHOWN = PageQuery(limit=20)


@dataclass(frozen=True, slots=True)
class Own:
    """The visitor's own participant, in a transaction of its tenant."""

    session: AsyncSession
    visitor: Visitor
    participant: Participant
    public_url: str

    @property
    def tenant(self) -> dict[str, Any]:
        return {"merchant_id": self.visitor.merchant_id}


@asynccontextmanager
async def own_page(request: Request, resources: Resources, participant_id: str) -> AsyncIterator[Own]:
    """Forbidden without a session; somebody else's page is as if it did not exist."""
    visitor = require_session(request, resources.settings)
    async with resources.db.tenant(visitor.merchant_id) as session:
        participant = await referral_queries.get_participant(
            session, merchant_id=visitor.merchant_id, participant_id=participant_id
        )
        if participant.member_id != visitor.member_id:
            raise not_found("participant")
        yield Own(session, visitor, participant, resources.settings.public_url)


@router.get("/me/{participant_id}")
async def show(participant_id: str, request: Request, resources: ResourcesDep) -> Response:
    async with own_page(request, resources, participant_id) as own:
        return await _page(own)


@router.post("/me/{participant_id}/avatar")
async def change_avatar(
    participant_id: str, request: Request, resources: ResourcesDep, avatar: Annotated[UploadFile, File()]
) -> Response:
    """A new picture on page and poster; what is wrong with it is said above the field."""
    require_session(request, resources.settings)  # strangers' pictures are not even decoded
    try:
        content = await resources.renderer.normalise(await avatar.read(), "avatar")
    except InvitreeError as error:
        async with own_page(request, resources, participant_id) as own:
            return await _page(own, error=form_text(error), status=error.status)
    async with own_page(request, resources, participant_id) as own:
        asset, _ = await assets.keep(own.session, **own.tenant, purpose="avatar", content=content)
        member = await referral_queries.get_member(own.session, **own.tenant, member_id=own.visitor.member_id)
        member.avatar_asset_id = asset.id
        await avatars.drop(own.session, member)
    return redirect(f"/h5/me/{participant_id}")


@router.post("/me/{participant_id}/poster")
async def pick_poster(
    participant_id: str, request: Request, resources: ResourcesDep, template: Annotated[str, Form(max_length=64)]
) -> Response:
    """Another of the campaign's posters, from now on wherever this one is shown."""
    async with own_page(request, resources, participant_id) as own:
        await posters.pick(own.session, **own.tenant, participant_id=participant_id, template_id=template)
    return redirect(f"/h5/me/{participant_id}")


async def _page(own: Own, *, error: str = "", status: int = 200) -> Response:
    session, tenant, participant = own.session, own.tenant, own.participant
    campaign = await campaign_queries.get(session, **tenant, campaign_id=participant.campaign_id)
    rule = await campaign_queries.get_rule(session, **tenant, campaign_id=participant.campaign_id)
    member = await referral_queries.get_member(session, **tenant, member_id=participant.member_id)
    membership = await reward_queries.membership(session, **tenant, member_id=member.id)
    friends = await own_friends(own)
    rewards = await reward_queries.rewards_page(session, **tenant, query=_of(participant_id=participant.id))
    commissions = await commission_queries.find_page(
        session, **tenant, query=SHOWN, equals={"beneficiary_id": participant.id}
    )
    templates = await posters.offered(session, campaign)
    counters = await tracking_queries.participant_counters(session, **tenant, participant_id=participant.id)
    return render(
        "me.html",
        status=status,
        error=error,
        campaign=campaign,
        organiser=campaign.landing.get("organiser") or "",
        participant=participant,
        shop=await shop.look(session, campaign=campaign, participant=participant),
        checkout_status=CHECKOUT_STATUS,
        nickname=member.nickname or "好友",
        membership=membership and membership.ends_at,
        friends=friends,
        friends_total=(await referral_queries.level_counts(session, **tenant, participant=participant)).get(1, 0),
        scans=counters["clicks"] + counters["scans"],
        earned_days=await reward_queries.granted_days(session, **tenant, participant_id=participant.id),
        rewards=rewards.rows,
        paying=bool(rule.commission.all_rules()),
        balance=await ledger_queries.balance(session, **tenant, member_id=member.id),
        commissions=commissions.rows,
        poster_url=f"/p/{participant.invite_code}.jpg",
        templates=templates,
        picked=posters.picked(participant, templates),
        invite_url=f"{own.public_url}/i/{participant.invite_code}",
    )


async def own_friends(own: Own) -> list[dict[str, Any]]:
    """The newest friends under masked names."""
    page = await referral_queries.invitees(own.session, **own.tenant, participant=own.participant, level=1, query=SHOWN)
    names = await referral_queries.nicknames(
        own.session, **own.tenant, member_ids=[friend.member_id for friend in page.rows]
    )
    return [
        {"name": people.mask_name(names.get(friend.member_id) or "好友"), "at": friend.created_at}
        for friend in page.rows
    ]


def _of(**equals: str) -> PageQuery:
    return PageQuery(limit=SHOWN.limit, equals=equals)
