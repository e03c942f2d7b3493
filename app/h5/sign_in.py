"""Back to one's own page, by the phone of the signup: on another phone, after a month, or when the campaign is over."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import AfterValidator

from app.api.deps import ResourcesDep
from app.api.json_body import check_text
from app.api.ratelimit import limit_codes
from app.h5.errors import form_text, with_retry
from app.h5.pages import redirect, render
from app.h5.place import Place, enter
from app.h5.sessions import Visitor, open_session
from app.kit import people
from app.kit.errors import InvitreeError, Unprocessable
from app.models import Participant
from app.referrals import members, phone_codes
from app.referrals import queries as referral_queries
from app.referrals.identity import MemberIdentity, keys_of
from app.referrals.phone_codes import SentCode
from app.resources import Resources

router = APIRouter()
PURPOSE = "sign_in"
Text = Annotated[str, Form(max_length=200), AfterValidator(check_text)]


@router.get("/c/{campaign_id}/sign-in")
async def show(campaign_id: str, resources: ResourcesDep) -> Response:
    async with enter(resources, campaign_id) as place:
        return _page(place, step="phone")


@router.post("/c/{campaign_id}/sign-in")
async def submit(
    campaign_id: str,
    request: Request,
    resources: ResourcesDep,
    step: Text = "send",
    phone: Text = "",
    code: Text = "",
) -> Response:
    try:
        if step == "verify":
            return await _verify(resources, campaign_id, phone, code)
        return await _send(request, resources, campaign_id, phone)
    except InvitreeError as error:
        if error.status not in {422, 429}:
            raise
        step = "code" if error.code.startswith("code_") else "phone"
        async with enter(resources, campaign_id) as place:
            page = _page(place, step=step, phone=phone, error=form_text(error), status=error.status)
        return with_retry(page, error)


async def _send(request: Request, resources: Resources, campaign_id: str, phone: str) -> Response:
    """The same for everybody: who takes part is nobody else's business. What is made for a stranger goes nowhere."""
    number = _normal(phone)
    await limit_codes(request, resources, number)
    async with enter(resources, campaign_id) as place:
        sent = await _code_for(place, number)
        participant = await _participant(place, number)
    if participant is not None:
        await phone_codes.deliver(resources.settings, sent)
    return _page(place, step="code", phone=phone, sent=sent if participant else None)


async def _code_for(place: Place, number: str) -> SentCode:
    return await phone_codes.send(
        place.session,
        merchant_id=place.merchant.id,
        phone_or_email=number,
        purpose=PURPOSE,
        livemode=place.merchant.livemode,
        now=place.now,
    )


async def _verify(resources: Resources, campaign_id: str, phone: str, code: str) -> Response:
    number = _normal(phone)
    async with enter(resources, campaign_id) as place:
        await phone_codes.verify(
            place.session, merchant_id=place.merchant.id, subject=number, purpose=PURPOSE, code=code, now=place.now
        )
        participant = await _participant(place, number)
    if participant is None:
        raise Unprocessable("code_invalid", "Nobody of this campaign has this number.")
    response = redirect(f"/h5/me/{participant.id}")
    open_session(response, resources.settings, Visitor(place.merchant.id, participant.member_id))
    return response


async def _participant(place: Place, number: str) -> Participant | None:
    own = {"merchant_id": place.merchant.id}
    named = await members.named(place.session, **own, keys=keys_of(MemberIdentity(phone=number)))
    if not named:
        return None
    return await referral_queries.participant_of_member(
        place.session, **own, campaign_id=place.campaign.id, member_id=named[0].id
    )


def _normal(phone: str) -> str:
    try:
        return people.normalise_phone(phone)
    except ValueError:
        raise Unprocessable("phone_invalid", "This cannot be a phone number.") from None


def _page(
    place: Place, *, step: str, phone: str = "", sent: SentCode | None = None, error: str = "", status: int = 200
) -> Response:
    return render(
        "sign_in.html",
        status=status,
        campaign=place.campaign,
        organiser=place.campaign.landing.get("organiser") or place.merchant.name,
        step=step,
        phone=phone,
        error=error,
        sandbox_code=sent.sandbox_code if sent else None,
    )
