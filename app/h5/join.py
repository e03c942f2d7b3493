"""Signing up by phone: number, code, done. The invite code travels in the form, since in-app browsers lose cookies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from pydantic import AfterValidator

from app.api.deps import ResourcesDep
from app.api.json_body import check_text
from app.campaigns import rules as campaign_rules
from app.h5.errors import form_text
from app.h5.pages import redirect, render
from app.h5.place import Place, enter
from app.h5.sessions import Visitor, open_session
from app.kit.errors import InvitreeError, Unprocessable
from app.referrals import phone_codes
from app.referrals.members import MemberIdentity
from app.referrals.phone_codes import SentCode
from app.resources import Resources
from app.signups import service as signups

router = APIRouter()
PURPOSE = "join"
Text = Annotated[str, Form(max_length=200), AfterValidator(check_text)]


@dataclass(frozen=True, slots=True)
class JoinForm:
    phone: str = ""
    nickname: str = ""
    invite_code: str = ""
    agree: bool = False


@router.get("/c/{campaign_id}/join")
async def show(campaign_id: str, resources: ResourcesDep, code: Annotated[str, Query(max_length=32)] = "") -> Response:
    async with enter(resources, campaign_id) as place:
        campaign_rules.require_open(place.campaign, "join", now=place.now)
        return _page(place, JoinForm(invite_code=code), step="phone")


@router.post("/c/{campaign_id}/join")
async def submit(
    campaign_id: str,
    resources: ResourcesDep,
    step: Text = "send",
    phone: Text = "",
    nickname: Text = "",
    invite_code: Text = "",
    code: Text = "",
    agree: Text = "",
) -> Response:
    form = JoinForm(phone, nickname.strip()[:64], invite_code.strip(), agree == "yes" or step == "verify")
    if step == "verify":
        return await _verify(resources, campaign_id, form, code)
    return await _send(resources, campaign_id, form, agreed=form.agree or bool(code))


async def _send(resources: Resources, campaign_id: str, form: JoinForm, *, agreed: bool) -> Response:
    try:
        async with enter(resources, campaign_id) as place:
            campaign_rules.require_open(place.campaign, "join", now=place.now)
            if not agreed:
                raise Unprocessable("agreement_missing", "The terms must be agreed to.")
            sent = await phone_codes.send(
                place.session, merchant_id=place.merchant.id, phone_or_email=form.phone, purpose=PURPOSE, now=place.now
            )
    except InvitreeError as error:
        return await _again(resources, campaign_id, form, error, step="phone")
    await phone_codes.sender_of(resources.settings).deliver(sent)
    return _page(place, form, step="code", sent=sent)


async def _verify(resources: Resources, campaign_id: str, form: JoinForm, code: str) -> Response:
    try:
        async with enter(resources, campaign_id) as place:
            await phone_codes.verify(
                place.session,
                merchant_id=place.merchant.id,
                subject=form.phone,
                purpose=PURPOSE,
                code=code,
                now=place.now,
            )
            result = await signups.sign_up(
                place.session,
                merchant_id=place.merchant.id,
                campaign_id=campaign_id,
                identity=MemberIdentity(phone=form.phone, nickname=form.nickname or None, phone_verified=True),
                invite_code=form.invite_code or None,
                now=place.now,
            )
    except InvitreeError as error:
        step = "code" if error.code.startswith("code_") else "phone"
        return await _again(resources, campaign_id, form, error, step=step)
    response = redirect(f"/h5/me/{result.participant.id}")
    open_session(response, resources.settings, Visitor(place.merchant.id, result.participant.member_id))
    return response


async def _again(
    resources: Resources, campaign_id: str, form: JoinForm, error: InvitreeError, *, step: str
) -> Response:
    """The form once more with what was typed; what has no place in a form becomes a page."""
    if error.status not in {422, 429}:
        raise error
    async with enter(resources, campaign_id) as place:
        return _page(place, form, step=step, error=form_text(error), status=error.status)


def _page(
    place: Place, form: JoinForm, *, step: str, sent: SentCode | None = None, error: str = "", status: int = 200
) -> Response:
    return render(
        "join.html",
        status=status,
        campaign=place.campaign,
        action=f"/h5/c/{place.campaign.id}/join",
        organiser=place.merchant.name,
        step=step,
        form=asdict(form),
        error=error,
        sandbox_code=sent.sandbox_code if sent else None,
    )
