"""`/v1`: one module a noun, each with its routes and their schemas."""

from fastapi import APIRouter

from app.api.v1 import (
    api_keys,
    balances,
    campaigns,
    commissions,
    events,
    members,
    merchants,
    orders,
    participants,
    payee_accounts,
    payout_batches,
    payouts,
    refunds,
    rewards,
    signups,
    stats,
    test_clock,
    users,
    webhooks,
    withdrawals,
)

router = APIRouter()
for module in (
    api_keys,
    balances,
    campaigns,
    commissions,
    events,
    members,
    merchants,
    orders,
    participants,
    payee_accounts,
    payout_batches,
    payouts,
    refunds,
    rewards,
    signups,
    stats,
    test_clock,
    users,
    webhooks,
    withdrawals,
):
    router.include_router(module.router)
