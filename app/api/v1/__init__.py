"""`/v1`: one module a noun, each with its routes and their schemas."""

from fastapi import APIRouter

from app.api.v1 import test_clock

router = APIRouter()
for module in (test_clock,):
    router.include_router(module.router)
