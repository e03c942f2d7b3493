"""A merchant registers on its phone: name, number, code; then its keys, its days and a poster to invite others with."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import Annotated

import msgspec
from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import AfterValidator

from app.api.deps import ResourcesDep
from app.api.json_body import check_text
from app.api.ratelimit import RegistrationLimit
from app.h5.errors import form_text, with_retry
from app.h5.pages import render
from app.h5.sessions import Visitor, open_session, require_session
from app.kit import clock
from app.kit.crypto import DecryptionError
from app.kit.errors import InvitreeError, Unprocessable, not_found
from app.merchants import accounts, house, registration, verification
from app.models import Merchant
from app.referrals import phone_codes
from app.referrals import queries as referral_queries
from app.referrals.phone_codes import SentCode
from app.resources import Resources
from app.rewards import queries as reward_queries
from app.settings import get_keyring

router = APIRouter()
Text = Annotated[str, Form(max_length=400), AfterValidator(check_text)]


@dataclass(frozen=True, slots=True)
class RegisterForm:
    name: str = ""
    phone: str = ""
    invite_code: str = ""
    agree: bool = False
    ticket: str = ""


class Ticket(msgspec.Struct, frozen=True):
    """What the browser carries from the registration to its proof, sealed: the secrets are in no store of ours."""

    merchant_id: str
    secret_key: str
    test_secret_key: str

    def seal(self) -> str:
        sealed = get_keyring().seal("h5.ticket", msgspec.json.encode(self).decode())
        return base64.urlsafe_b64encode(sealed).decode()

    @classmethod
    def open(cls, text: str) -> Ticket:
        try:
            opened = get_keyring().open("h5.ticket", base64.urlsafe_b64decode(text))
        except (DecryptionError, ValueError, IndexError):
            raise Unprocessable("code_expired", "The registration must be begun again.") from None
        return msgspec.json.decode(opened, type=cls)


@router.get("/r")
async def show(resources: ResourcesDep, code: Annotated[str, Query()] = "") -> Response:
    return await _page(resources, RegisterForm(invite_code=code), step="register")


@router.post("/r", dependencies=[RegistrationLimit])
async def register(
    resources: ResourcesDep, name: Text = "", phone: Text = "", invite_code: Text = "", agree: Text = ""
) -> Response:
    form = RegisterForm(name.strip()[:120], phone.strip(), invite_code.strip(), agree == "yes")
    try:
        made = await _register(resources, form)
    except InvitreeError as error:
        if error.status not in {409, 422}:
            raise
        return await _page(resources, form, step="register", error=form_text(error), status=error.status)
    await phone_codes.deliver(resources.settings, made.sent)
    ticket = Ticket(made.live.id, made.secret_key, made.test_secret_key).seal()
    return await _page(resources, RegisterForm(phone=form.phone, ticket=ticket), step="code", sent=made.sent)


async def _register(resources: Resources, form: RegisterForm) -> registration.Registration:
    if not form.agree:
        raise Unprocessable("agreement_missing", "The terms must be agreed to.")
    if not form.name:
        raise Unprocessable("name_missing", "A merchant has a name.")
    async with resources.db.system() as session:
        return await registration.register(
            session,
            name=form.name,
            contact=form.phone,
            invite_code=form.invite_code or None,
            keyring=get_keyring(),
            now=clock.utcnow(),
        )


@router.post("/r/verify")
async def verify(
    resources: ResourcesDep, ticket: Annotated[str, Form(max_length=2_000)] = "", phone: Text = "", code: Text = ""
) -> Response:
    form = RegisterForm(phone=phone, ticket=ticket)
    try:
        opened = Ticket.open(ticket)
        async with resources.db.system() as session:
            await verification.verify(
                session, merchant_id=opened.merchant_id, code=code, actor=opened.merchant_id, now=clock.utcnow()
            )
            live = await session.get_one(Merchant, opened.merchant_id)
    except InvitreeError as error:
        if error.status != 422:
            raise
        return await _page(resources, form, step="code", error=form_text(error), status=error.status)
    house_id = await _house_id(resources)
    response = await _registered(resources, live, house_id, ticket=opened)
    open_session(response, resources.settings, Visitor(house_id, live.house_member_id or ""))
    return response


@router.post("/r/resend", dependencies=[RegistrationLimit])
async def resend(
    resources: ResourcesDep, ticket: Annotated[str, Form(max_length=2_000)] = "", phone: Text = ""
) -> Response:
    form = RegisterForm(phone=phone, ticket=ticket)
    try:
        async with resources.db.system() as session:
            sent = await verification.resend(session, merchant_id=Ticket.open(ticket).merchant_id, now=clock.utcnow())
    except InvitreeError as error:
        if error.status not in {409, 422, 429}:
            raise
        return with_retry(await _page(resources, form, step="code", error=form_text(error), status=error.status), error)
    await phone_codes.deliver(resources.settings, sent)
    return await _page(resources, form, step="code", sent=sent)


@router.get("/r/me")
async def me(request: Request, resources: ResourcesDep) -> Response:
    """The merchant's own page, once more; the keys were shown before."""
    visitor = require_session(request, resources.settings)
    async with resources.db.system() as session:
        live = await accounts.of_house_member(session, member_id=visitor.member_id)
    if live is None:
        raise not_found("merchant")
    return await _registered(resources, live, visitor.merchant_id, ticket=None)


async def _registered(resources: Resources, live: Merchant, house_id: str, *, ticket: Ticket | None) -> Response:
    async with resources.db.tenant(house_id) as session:
        own = await referral_queries.get_participant(
            session, merchant_id=house_id, participant_id=live.house_participant_id or ""
        )
        membership = await reward_queries.membership(session, merchant_id=house_id, member_id=own.member_id)
        counts = await referral_queries.level_counts(session, merchant_id=house_id, participant=own)
        days = await reward_queries.granted_days(session, merchant_id=house_id, participant_id=own.id)
    return render(
        "registered.html",
        name=live.name,
        ends_at=membership.ends_at if membership else live.created_at,
        friends_total=counts.get(1, 0),
        earned_days=days,
        keys=ticket,
        poster_url=f"/p/{own.invite_code}.jpg",
        invite_url=f"{resources.settings.public_url}/i/{own.invite_code}",
    )


async def _house_id(resources: Resources) -> str:
    async with resources.db.system() as session:
        return await house.ensure(session, now=clock.utcnow())


async def _page(
    resources: Resources,
    form: RegisterForm,
    *,
    step: str,
    sent: SentCode | None = None,
    error: str = "",
    status: int = 200,
) -> Response:
    return render(
        "register.html",
        status=status,
        step=step,
        form=asdict(form),
        error=error,
        inviter=await _inviter(resources, form.invite_code),
        sandbox_code=sent.sandbox_code if sent else None,
    )


async def _inviter(resources: Resources, code: str) -> str | None:
    """The inviting merchant's name, as its posters show it."""
    async with resources.db.system() as session:
        merchant = await accounts.of_invite_code(session, invite_code=code)
    return merchant.name if merchant else None
