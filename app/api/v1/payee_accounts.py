from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Response, status
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.deps import PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer
from app.payouts import accounts, queries
from app.payouts.views import payee_account_view
from app.referrals.queries import get_member

router = make_router("payee accounts")

Kind = Literal["wechat", "alipay", "bank"]
Account = Annotated[str, Field(min_length=1, max_length=128)]


class PayeeAccountIn(Body):
    """Where a member is paid: `openid` or `account` for WeChat, `account` for the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "bank", "account": "6222021234567890123", "real_name": "张小明", "bank_name": "工商银行"},
                {"kind": "alipay", "account": "zhang@example.com", "real_name": "张小明"},
                {"kind": "wechat", "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "real_name": "张小明"},
            ]
        }
    )

    kind: Kind
    account: Account | None = None
    openid: Account | None = None
    real_name: Annotated[str, Field(min_length=1, max_length=64, description="As the account is held in.")]
    bank_name: Annotated[str, Field(min_length=1, max_length=80)] | None = None

    @model_validator(mode="after")
    def one_account(self) -> Self:
        if (self.account is None) == (self.openid is None) or (self.openid is not None and self.kind != "wechat"):
            raise PydanticCustomError("account_ambiguous", "give `account`, or for WeChat `openid`")
        return self

    def values(self) -> dict[str, Any]:
        given = self.model_dump(exclude={"account", "openid"})
        return {**given, "account": self.account or self.openid}


class PayeeAccountOut(Answer):
    id: str
    object: Literal["payee_account"]
    member_id: str
    kind: Kind
    account: Annotated[str, Field(description="Masked.", examples=["****0123"])]
    real_name: Annotated[str, Field(description="Masked.", examples=["张**"])]
    bank_name: str | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post(
    "/members/{member_id}/payee-accounts",
    response_model=PayeeAccountOut,
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": PayeeAccountOut, "description": "Known already"}},
)
async def save_payee_account(
    member_id: str, body: PayeeAccountIn, tenant: TenantDep, response: Response
) -> dict[str, Any]:
    """Add an account; the same one of the same member again is the same row, with its names corrected."""
    saved, is_new = await accounts.save(
        tenant.session, merchant_id=tenant.merchant_id, member_id=member_id, now=tenant.now, **body.values()
    )
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return tenant.show(payee_account_view(saved))


@router.get("/members/{member_id}/payee-accounts", response_model=ListAnswer[PayeeAccountOut])
async def list_payee_accounts(member_id: str, tenant: TenantDep, page: PageDep) -> dict[str, Any]:
    """A member's accounts, newest first; the newest is paid unless a withdrawal names another."""
    own = {"merchant_id": tenant.merchant_id}
    member = await get_member(tenant.session, **own, member_id=member_id)
    found = await queries.payee_accounts_page(tenant.session, **own, member_id=member.id, query=page)
    return tenant.show_page(found, payee_account_view)
