"""What endpoints ask for: the tenant with its transaction, a page query. One spelling of each for the whole app.

All of it is `async`, what awaits nothing too: for each plain function FastAPI sends a request through another thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.api import idempotency
from app.api.schemas import Instant
from app.db.pages import Page, PageQuery
from app.kit import clock
from app.kit.errors import BadRequest, Forbidden, Unauthorized
from app.kit.objects import in_mode
from app.merchants import accounts, house, keys
from app.merchants.keys import Principal
from app.resources import Resources
from app.settings import get_keyring

bearer = HTTPBearer(auto_error=False, description="`ivt_live_…` or `ivt_test_…`")


@dataclass(frozen=True, slots=True)
class Tenant:
    """One request of one merchant: `session` is its transaction, `now` its clock."""

    session: AsyncSession
    merchant_id: str
    livemode: bool
    now: datetime
    resources: Resources
    scopes: frozenset[str]
    key_id: str

    def show(self, view: dict[str, Any]) -> dict[str, Any]:
        """A room's view of a row as the API's object."""
        return in_mode(view, livemode=self.livemode)

    def show_page(self, page: Page[Any], view: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [self.show(view(row)) for row in page.rows],
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }


async def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


async def get_principal(
    request: Request,
    resources: ResourcesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Principal:
    if credentials is None:
        raise Unauthorized("api_key_missing", "Send `Authorization: Bearer ivt_live_…` or `ivt_test_…`.")
    async with resources.db.glance() as session:
        principal = await keys.authenticate(session, secret=credentials.credentials, keyring=get_keyring())
    require_scope(principal, "read" if request.method in {"GET", "HEAD"} else "write")
    structlog.contextvars.bind_contextvars(merchant_id=principal.merchant_id, key_id=principal.key_id)
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]


def require_scope(principal: Principal, scope: str) -> None:
    """Forbidden `scope_missing` where the key may not."""
    if not principal.may(scope):
        raise Forbidden("scope_missing", f"This key lacks the scope `{scope}`.")


def needs_scope(scope: str) -> Any:
    """For `dependencies=[…]` of routes that ask for more than `read` or `write`."""

    async def check(principal: PrincipalDep) -> None:
        require_scope(principal, scope)

    return Depends(check)


NeedsAdmin = needs_scope("admin")
NeedsPayouts = needs_scope("payouts")


async def get_tenant(request: Request, principal: PrincipalDep, resources: ResourcesDep) -> AsyncIterator[Tenant]:
    """The request's transaction under the tenant policies; committed before the answer is sent."""
    async with resources.db.tenant(principal.merchant_id) as session:
        yield await _enter(session, request, principal, resources)


async def get_account(request: Request, principal: PrincipalDep, resources: ResourcesDep) -> AsyncIterator[Tenant]:
    """As `get_tenant`, but as *system*: for what a merchant is and owns in the house, another tenant."""
    async with resources.db.system() as session:
        yield await _enter(session, request, principal, resources)


async def _enter(session: AsyncSession, request: Request, principal: Principal, resources: Resources) -> Tenant:
    await idempotency.claim(session, request, principal.merchant_id)
    request.state.session = session
    return Tenant(
        session,
        principal.merchant_id,
        principal.livemode,
        principal.now(),
        resources,
        principal.scopes,
        principal.key_id,
    )


async def get_public(request: Request, resources: ResourcesDep) -> AsyncIterator[AsyncSession]:
    """As *system*, for the few routes that have no tenant yet; their idempotency keys are the house's."""
    async with resources.db.system() as session:
        house_id = await house.ensure(session, now=clock.utcnow())
        await idempotency.claim(session, request, house_id)
        request.state.session = session
        yield session


async def require_membership(principal: PrincipalDep, resources: ResourcesDep) -> None:
    """PaymentRequired `membership_ended`."""
    async with resources.db.system() as session:
        await accounts.require_membership(session, merchant_id=principal.merchant_id, now=principal.now())


NeedsMembership = Depends(require_membership)

# scope="function": by default the commit would run after the answer, and could fail unseen.
TenantDep = Annotated[Tenant, Depends(get_tenant, scope="function")]
AccountDep = Annotated[Tenant, Depends(get_account, scope="function")]
PublicSession = Annotated[AsyncSession, Depends(get_public, scope="function")]


async def require_idempotency_key(request: Request, _: PrincipalDep) -> None:
    """For what moves money: a retry without a key could move it twice. Who it is, is asked first."""
    if "idempotency-key" not in request.headers:
        raise BadRequest("idempotency_key_missing", "This call moves money: send an Idempotency-Key.")


MovesMoney = Depends(require_idempotency_key)


async def get_page_query(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    created_from: Annotated[Instant | None, Query(alias="created_at[gte]")] = None,
    created_before: Annotated[Instant | None, Query(alias="created_at[lt]")] = None,
) -> PageQuery:
    return PageQuery(limit, cursor, created_from, created_before)


PageDep = Annotated[PageQuery, Depends(get_page_query)]
