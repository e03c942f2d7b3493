from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import BackgroundTasks, status
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.deps import AccountDep, PublicSession, ResourcesDep
from app.api.ratelimit import RegistrationLimit
from app.api.router import make_router
from app.api.schemas import Answer, Body
from app.kit import clock
from app.merchants import accounts, registration, verification
from app.merchants.views import merchant_view, registration_view, sent_code_view
from app.referrals.code_senders import deliver_behind
from app.settings import get_keyring

router = make_router("merchant")


class RegistrationIn(Body):
    """`phone` or `email`, one of the two; it is unique over all merchants."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "清茶书社", "phone": "13812345678", "invite_code": "k7m2p9qx"}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=120)]
    phone: Annotated[str | None, Field(min_length=5, max_length=32)] = None
    email: Annotated[str | None, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$")] = None
    invite_code: Annotated[str | None, Field(max_length=32)] = None

    @model_validator(mode="after")
    def _one_contact(self) -> Self:
        if (self.phone is None) == (self.email is None) or "@" in (self.phone or ""):
            raise PydanticCustomError("contact", "give either a phone or an email")
        return self

    @property
    def contact(self) -> str:
        return self.phone or self.email or ""


class VerifyIn(Body):
    code: Annotated[str, Field(min_length=1, max_length=16, examples=["042317"])]


class MembershipOut(Answer):
    active: bool
    ends_at: datetime | None


class MerchantOut(Answer):
    id: str
    object: Literal["merchant"]
    name: str
    twin_id: str | None
    plan: Annotated[str, Field(description="The one in force; `GET /v1/plans` lists them.")]
    plan_ends_at: Annotated[datetime | None, Field(description="When its paid days are used up.")]
    platform_fee_bps: int
    funding: Annotated[
        Literal["own", "prepaid"],
        Field(description="Out of what promoters are paid: accounts of the merchant's own, or what it has paid in."),
    ]
    membership: MembershipOut
    verified: bool
    invite_code: str | None
    invite_url: str | None
    poster_url: str | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class RegistrationOut(MerchantOut):
    secret_key: Annotated[str | None, Field(description="Shown once; null where the answer is a repeated one.")]
    test_secret_key: str | None
    sandbox_code: Annotated[str | None, Field(description="Only from the sandbox provider, which sends nothing.")]


class SentCodeOut(Answer):
    object: Literal["verification_code"]
    sent_to: str
    expires_at: datetime
    sandbox_code: str | None
    created_at: datetime
    livemode: bool


@router.post(
    "/merchants",
    status_code=status.HTTP_201_CREATED,
    response_model=RegistrationOut,
    dependencies=[RegistrationLimit],
)
async def register(
    body: RegistrationIn, session: PublicSession, resources: ResourcesDep, background: BackgroundTasks
) -> dict[str, Any]:
    """A live merchant and its test twin, 30 days, and a code to `POST /v1/merchant/verify` with.

    With another merchant's invite code both get 30 days more, once the new one is verified.
    """
    now = clock.utcnow()
    made = await registration.register(
        session, name=body.name, contact=body.contact, invite_code=body.invite_code, keyring=get_keyring(), now=now
    )
    background.add_task(deliver_behind, resources.settings, made.sent)
    account = await accounts.get(session, merchant_id=made.live.id)
    return registration_view(account, made, now=now) | {"livemode": True}


@router.get("/merchant", response_model=MerchantOut)
async def get(tenant: AccountDep) -> dict[str, Any]:
    """The merchant of this key. A test key shows the live merchant's days and plan, and besides what it bought itself,
    by its own clock."""
    account = await accounts.get(tenant.session, merchant_id=tenant.merchant_id)
    return tenant.show(merchant_view(account, now=tenant.now))


@router.post("/merchant/verify", response_model=MerchantOut)
async def verify(body: VerifyIn, tenant: AccountDep) -> dict[str, Any]:
    """Prove the phone or e-mail address; the invite's days are granted to both sides. Once verified, always is."""
    now = clock.utcnow()
    await verification.verify(
        tenant.session, merchant_id=tenant.merchant_id, code=body.code, actor=tenant.key_id, now=now
    )
    account = await accounts.get(tenant.session, merchant_id=tenant.merchant_id)
    return tenant.show(merchant_view(account, now=tenant.now))


@router.post("/merchant/verification-codes", status_code=status.HTTP_201_CREATED, response_model=SentCodeOut)
async def send_code(tenant: AccountDep, background: BackgroundTasks) -> dict[str, Any]:
    """A new code in place of the last one, a minute after it at the earliest, ten times a day."""
    now = clock.utcnow()
    sent = await verification.resend(tenant.session, merchant_id=tenant.merchant_id, now=now)
    background.add_task(deliver_behind, tenant.resources.settings, sent)
    return tenant.show(sent_code_view(sent, now=now))
