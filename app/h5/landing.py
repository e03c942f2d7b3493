"""What a friend sees first: the offer, who invites, one button. And the rules behind it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from app.api.deps import ResourcesDep
from app.campaigns import rules as campaign_rules
from app.h5 import copy
from app.h5.pages import redirect, render
from app.h5.place import Place, enter
from app.kit import ids, people
from app.kit.errors import Unprocessable
from app.referrals import queries as referral_queries

router = APIRouter()

NOTICES = {
    "draft": "活动尚未开始，敬请期待",
    "scheduled": "活动尚未开始，敬请期待",
    "active": None,
    "paused": "活动暂停中，请稍后再来",
    "ended": "活动已结束，感谢关注",
    "settled": "活动已结束，感谢关注",
}
# Of any length: who came by a mangled link is not turned away for it.
Code = Annotated[str, Query()]


@router.get("/c/{campaign_id}")
async def landing(campaign_id: str, resources: ResourcesDep, code: Code = "", ch: Code = "") -> Response:
    async with enter(resources, campaign_id) as place:
        if place.merchant.is_house:
            return redirect(f"/h5/r?{urlencode({'code': code})}")
        notice = closed_notice(place)
        return render(
            "landing.html",
            campaign=place.campaign,
            landing=page_texts(place),
            organiser=place.merchant.name,
            inviter=await inviter_name(place, code),
            gifts=copy.gifts(place.rule),
            notice=notice,
            open=notice is None,
            join_url=f"/h5/c/{campaign_id}/join?{urlencode({'code': code, 'ch': ch})}",
        )


@router.get("/c/{campaign_id}/rules")
async def rules(campaign_id: str, resources: ResourcesDep, code: Code = "") -> Response:
    async with enter(resources, campaign_id) as place:
        return render(
            "rules.html",
            campaign=place.campaign,
            rule_lines=copy.rule_lines(place.rule),
            organiser=page_texts(place)["organiser"] or place.merchant.name,
            code=ids.normalise_invite_code(code) or "",
        )


def closed_notice(place: Place) -> str | None:
    """Why nobody can join now, or None."""
    return NOTICES[campaign_rules.status_at(place.campaign, place.now)]


def page_texts(place: Place) -> dict[str, object]:
    known = ("headline", "subtitle", "button", "highlights", "description", "organiser")
    return {name: place.campaign.landing.get(name) for name in known}


async def inviter_name(place: Place, code: str) -> str | None:
    """The inviter's masked nickname; nothing where the code is none of this campaign."""
    tenant = {"merchant_id": place.merchant.id}
    try:
        inviter = await referral_queries.by_invite_code(
            place.session, **tenant, campaign_id=place.campaign.id, invite_code=code
        )
    except Unprocessable:
        return None
    member = await referral_queries.get_member(place.session, **tenant, member_id=inviter.member_id)
    return people.mask_name(member.nickname) if member.nickname else "好友"
