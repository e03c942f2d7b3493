"""`/v1`: one module a noun, each with its routes and their schemas."""

from fastapi import APIRouter

from app.api.v1 import (
    api_keys,
    assets,
    balances,
    campaigns,
    commissions,
    jobs,
    members,
    merchants,
    orders,
    participants,
    payee_accounts,
    payout_batches,
    payout_rails,
    payouts,
    poster_templates,
    posters,
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
    assets,
    balances,
    campaigns,
    commissions,
    jobs,
    members,
    merchants,
    orders,
    participants,
    payee_accounts,
    payout_batches,
    payout_rails,
    payouts,
    poster_templates,
    posters,
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
