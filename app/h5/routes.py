from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from app.h5 import buy, cashier, join, landing, me, pay, pay_login, register, sign_in, withdraw
from app.kit.errors import Forbidden


def refuse_foreign_forms(request: Request) -> None:
    """Else a page elsewhere could sign somebody in as somebody else, unseen, whatever the cookie's SameSite says."""
    if request.method == "POST" and request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("form_cross_site", "This form was sent by a page of another site.")


router = APIRouter(prefix="/h5", include_in_schema=False, dependencies=[Depends(refuse_foreign_forms)])
for page in (landing, join, sign_in, me, buy, pay, pay_login, cashier, withdraw, register):
    router.include_router(page.router)
