"""Signing up by phone: number, code, done. The invite code travels in the form, since in-app browsers lose cookies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import AfterValidator

from app.api.deps import ResourcesDep
from app.api.json_body import check_text
from app.api.ratelimit import limit_codes
from app.campaigns import rules as campaign_rules
from app.h5.errors import form_text, with_retry
from app.h5.pages import redirect, render
from app.h5.place import Place, enter
from app.h5.sessions import Visitor, open_session
from app.kit import people
from app.kit.errors import InvitreeError, Unprocessable
from app.referrals import phone_codes
from app.referrals import queries as referral_queries
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
async def show(campaign_id: str, resources: ResourcesDep, code: Annotated[str, Query()] = "") -> Response:
    async with enter(resources, campaign_id) as place:
        campaign_rules.require_open(place.campaign, "join", now=place.now)
        return _page(place, JoinForm(invite_code=code), step="phone")


@router.post("/c/{campaign_id}/join")
async def submit(
    campaign_id: str,
    request: Request,
    resources: ResourcesDep,
    step: Text = "send",
    phone: Text = "",
    nickname: Text = "",
    invite_code: Text = "",
    code: Text = "",
    agree: Text = "",
) -> Response:
    # Who has a code agreed before it was sent.
    form = JoinForm(phone, nickname.strip()[:64], invite_code.strip(), agree == "yes" or step == "verify")
    if step == "verify":
        return await _verify(resources, campaign_id, form, code)
    return await _send(request, resources, campaign_id, form)


async def _send(request: Request, resources: Resources, campaign_id: str, form: JoinForm) -> Response:
    try:
        phone = _agreed_phone(form)
        await limit_codes(request, resources, phone)
        async with enter(resources, campaign_id) as place:
            campaign_rules.require_open(place.campaign, "join", now=place.now)
            await _require_inviter(place, form.invite_code)
            sent = await phone_codes.send(
                place.session,
                merchant_id=place.merchant.id,
                phone_or_email=phone,
                purpose=PURPOSE,
                livemode=place.merchant.livemode,
                now=place.now,
            )
    except InvitreeError as error:
        return await _again(resources, campaign_id, form, error)
    await phone_codes.deliver(resources.settings, sent)
    return _page(place, form, step="code", sent=sent)


def _agreed_phone(form: JoinForm) -> str:
    """In normal form. An e-mail address, which registering merchants may prove, is none."""
    if not form.agree:
        raise Unprocessable("agreement_missing", "The terms must be agreed to.")
    try:
        return people.normalise_phone(form.phone)
    except ValueError:
        raise Unprocessable("phone_invalid", "This cannot be a phone number.") from None


async def _require_inviter(place: Place, invite_code: str) -> None:
    """Before a code is sent: whoever mistyped would have to wait for another one."""
    if invite_code:
        await referral_queries.by_invite_code(
            place.session, merchant_id=place.merchant.id, campaign_id=place.campaign.id, invite_code=invite_code
        )


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
        return await _again(resources, campaign_id, form, error)
    response = redirect(f"/h5/me/{result.participant.id}")
    open_session(response, resources.settings, Visitor(place.merchant.id, result.participant.member_id))
    return response


async def _again(resources: Resources, campaign_id: str, form: JoinForm, error: InvitreeError) -> Response:
    """The form once more with what was typed; what has no place in a form becomes a page."""
    if error.status not in {422, 429}:
        raise error
    step = "code" if error.code.startswith("code_") else "phone"
    async with enter(resources, campaign_id) as place:
        return with_retry(_page(place, form, step=step, error=form_text(error), status=error.status), error)


def _page(
    place: Place, form: JoinForm, *, step: str, sent: SentCode | None = None, error: str = "", status: int = 200
) -> Response:
    return render(
        "join.html",
        status=status,
        campaign=place.campaign,
        action=f"/h5/c/{place.campaign.id}/join",
        organiser=place.campaign.landing.get("organiser") or place.merchant.name,
        step=step,
        form=asdict(form),
        error=error,
        sandbox_code=sent.sandbox_code if sent else None,
    )
