"""Who looks at money is written down where they say who they are."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from app.cli import app
from app.models import AuditEntry
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable, make_user

runner = CliRunner()
COMMANDS = {
    "payouts.previewed": ("payouts", "preview"),
    "payouts.reconciled": ("payouts", "reconcile"),
    "payouts.examined": ("payouts", "doctor"),
    "income.reported": ("income", "report", "--year", "2026", "--quarter", "4"),
    "ledger.verified": ("ledger", "verify"),
    "ledger.statement_read": ("ledger", "statement"),
}


async def entries(resources: Resources, merchant_id: str) -> list[tuple[str, str, str]]:
    async with resources.db.tenant(merchant_id) as session:
        found = (await session.scalars(select(AuditEntry).order_by(AuditEntry.id))).all()
        return [(entry.action, entry.actor, entry.subject_id) for entry in found]


async def ran(*words: str) -> int:
    return (await asyncio.to_thread(runner.invoke, app, [*words])).exit_code


@pytest.mark.parametrize("action", sorted(COMMANDS))
async def test_a_look_by_a_named_user_is_in_the_audit_log(
    action: str, merchant: MerchantFixture, resources: Resources
) -> None:
    own = merchant.test_id
    async with resources.db.tenant(own) as session:
        viewer = await make_user(session, own, "viewer")
    command = (*COMMANDS[action], "--merchant", own)
    assert await ran(*command) == 0
    assert await entries(resources, own) == [], "nobody was named"
    assert await ran(*command, "--as", viewer) == 0
    assert await entries(resources, own) == [(action, viewer, own)]
    assert await ran(*command, "--as", "usr_01h2xcejqtf2nbrexx3vqjhp41") != 0
    assert len(await entries(resources, own)) == 1


async def test_a_members_statement_names_the_member(merchant: MerchantFixture, resources: Resources) -> None:
    own = merchant.test_id
    async with resources.db.tenant(own) as session:
        member, viewer = (await make_payable(session, own, 700)).member_id, await make_user(session, own, "viewer")
    assert await ran("ledger", "statement", "--member", member, "--as", viewer) == 0
    assert await entries(resources, own) == [("ledger.statement_read", viewer, member)]


async def test_a_verification_of_all_is_no_merchant_users() -> None:
    assert await ran("ledger", "verify", "--as", "usr_01h2xcejqtf2nbrexx3vqjhp41") == 2
