from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import status
from pydantic import Field

from app.api.deps import NeedsAdmin, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer
from app.merchants import queries, users
from app.merchants.views import user_view

router = make_router("merchant")

Role = Literal["owner", "operator", "finance", "viewer"]


class UserIn(Body):
    name: Annotated[str, Field(min_length=1, max_length=80, examples=["王会计"])]
    role: Annotated[Role, Field(examples=["finance"])]


class UserOut(Answer):
    id: str
    object: Literal["merchant_user"]
    name: str
    role: Role
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post("/merchant/users", status_code=status.HTTP_201_CREATED, response_model=UserOut, dependencies=[NeedsAdmin])
async def create_user(body: UserIn, tenant: TenantDep) -> dict[str, Any]:
    """Name a person of the merchant; commands act `--as` one, and a payout batch wants two."""
    user = await users.create(
        tenant.session, merchant_id=tenant.merchant_id, name=body.name, role=body.role, actor=tenant.key_id
    )
    return tenant.show(user_view(user))


@router.get("/merchant/users", response_model=ListAnswer[UserOut])
async def list_users(tenant: TenantDep, page: PageDep) -> dict[str, Any]:
    """The people of the merchant, newest first."""
    found = await queries.users_page(tenant.session, merchant_id=tenant.merchant_id, query=page)
    return tenant.show_page(found, user_view)
