from __future__ import annotations

from fastapi import APIRouter

from app.h5 import join, landing, me, register

router = APIRouter(prefix="/h5", include_in_schema=False)
for page in (landing, join, me, register):
    router.include_router(page.router)
