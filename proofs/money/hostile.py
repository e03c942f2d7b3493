"""The statements that mean harm, one after the other as the application's roles, and what they changed: nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from app.kit import ids
from proofs.frame.stage import Stage
from proofs.money import checks
from proofs.money.desk import Desk, open_desk
from proofs.money.statements import Attempt, attempts

LEAST = 1_000
# Refused by a right, a constraint, a trigger or the size of a number. Any other error means that the statement was
# never understood, and proves nothing.
REFUSALS = frozenset({"42501", "23514", "23503", "23502", "23505", "22003", "0A000", "428C9"})
# Of an account only when it was made may change, by a right that locking takes.
_ACCOUNTS = "(SELECT merchant_id, id, kind, member_id, order_id, currency, balance_minor FROM ledger_accounts)"
_TRIGGERS = "(SELECT tgrelid, tgname, tgenabled, tgfoid FROM pg_trigger)"
_FUNCTIONS = """(SELECT p.oid, proname, prosrc, proconfig, proacl, proowner FROM pg_proc p
    JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname NOT LIKE 'pg_temp%')"""
_RELATIONS = """(SELECT oid, relname, relowner, relacl, relrowsecurity FROM pg_class
    WHERE relnamespace = 'public'::regnamespace)"""
_SCHEMAS = "(SELECT * FROM pg_namespace WHERE nspname NOT LIKE 'pg_t%')"
_EVERYTHING = (
    *("ledger_entries", "ledger_transactions", _ACCOUNTS, "commissions", _TRIGGERS, _FUNCTIONS, _RELATIONS),
    *("pg_policy", "pg_roles", "pg_auth_members", _SCHEMAS),
)
_CONTENT = "SELECT " + " || ".join(
    f"(SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {what} t)" for what in _EVERYTHING
)
# What somebody with the right to do it would change.
_CHANGES = (
    "DELETE FROM ledger_entries WHERE merchant_id = $1",
    "UPDATE ledger_transactions SET reference = reference || '!' WHERE merchant_id = $1",
    "UPDATE ledger_accounts SET balance_minor = balance_minor + 1 WHERE merchant_id = $1",
    "UPDATE commissions SET amount_minor = amount_minor + 1 WHERE merchant_id = $1",
)
_DISABLE = "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_added"
_ROWS = {
    "account": "SELECT id FROM ledger_accounts WHERE merchant_id = $1 AND kind = 'member_payable' ORDER BY id LIMIT 1",
    "sales": "SELECT id FROM ledger_accounts WHERE merchant_id = $1 AND kind LIKE 'merchant%' ORDER BY id LIMIT 1",
    "transaction": "SELECT id FROM ledger_transactions WHERE merchant_id = $1 ORDER BY id LIMIT 1",
    "commission": "SELECT id FROM commissions WHERE merchant_id = $1 AND reverses_id IS NULL ORDER BY id LIMIT 1",
}


@dataclass(slots=True)
class Attack:
    """`answers`: how often which SQLSTATE, or "harmless" where a statement went through."""

    attempts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    harm: list[str] = field(default_factory=list)
    vain: list[str] = field(default_factory=list)


async def attack(stage: Stage) -> Attack:
    """Every statement as both roles; after each that went through, and at the end, all is as it was."""
    own, other = await _shop(stage), await _shop(stage)
    found = Attack()
    witness = await asyncpg.connect(stage.stack.owner_url)
    try:
        words = await _words(witness, own, other)
        await _require_sharp_eyes(witness, words)
        before = await witness.fetchval(_CONTENT)
        for role, url in (("app", stage.stack.app_url), ("system", stage.stack.system_url)):
            burglar = await asyncpg.connect(url, statement_cache_size=0)
            try:
                for attempt in attempts():
                    answer = await _try(burglar, attempt, words)
                    await _note(found, role, attempt, answer)
                    if answer is None and await witness.fetchval(_CONTENT) != before:
                        found.harm.append(f"{role} may: {'; '.join(attempt.statements)}")
                        before = await witness.fetchval(_CONTENT)
            finally:
                await burglar.close()
        if await witness.fetchval(_CONTENT) != before:
            found.harm.append("something was changed by what was refused")
    finally:
        await witness.close()
    for desk in (own, other):
        found.harm += await checks.faults(stage.resources, desk.merchant_id)
    return found


async def _shop(stage: Stage) -> Desk:
    """With something in every bucket."""
    desk = await open_desk(stage.resources)
    for name in ("first", "second", "third"):
        await desk.sell(ids.new("ext") + name, {"1": 5_900, "2": 100})
        desk.pass_days(8)
        await desk.release()
        if name == "first":
            await desk.withdraw(desk.shop.first.member_id)
    await desk.sell(ids.new("ext"), {"1": 5_900})
    return desk


async def _words(witness: asyncpg.Connection, own: Desk, other: Desk) -> Mapping[str, str]:
    words = {}
    for name, desk in (("own", own), ("other", other)):
        merchant = ids.decode("mch", desk.merchant_id)
        words[name] = str(merchant)
        for what, statement in _ROWS.items():
            words[f"{name}_{what}"] = str(await witness.fetchval(statement, merchant))
    assert "None" not in words.values()
    return words


async def _require_sharp_eyes(witness: asyncpg.Connection, words: Mapping[str, str]) -> None:
    """What is compared does change where somebody who may do so changes rows, or the guard of them."""
    merchant = UUID(words["other"])
    for change, given in (*((change, [merchant]) for change in _CHANGES), (_DISABLE, [])):
        before = await witness.fetchval(_CONTENT)
        transaction = witness.transaction()
        await transaction.start()
        try:
            await witness.execute(change, *given)
            assert await witness.fetchval(_CONTENT) != before, change
        finally:
            await transaction.rollback()


async def _try(burglar: asyncpg.Connection, attempt: Attempt, words: Mapping[str, str]) -> str | None:
    """The SQLSTATE of its refusal, None where it was committed."""
    transaction = burglar.transaction()
    await transaction.start()
    try:
        if attempt.tenant != "none":
            await burglar.execute("SELECT set_config('invitree.merchant_id', $1, true)", words[attempt.tenant])
        for statement in attempt.statements:
            await burglar.execute(_filled(statement, words))
    except asyncpg.PostgresError as refusal:
        await transaction.rollback()
        return str(refusal.sqlstate)
    else:
        await transaction.commit()
        return None
    finally:
        await burglar.execute("DISCARD ALL")


def _filled(statement: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        statement = statement.replace(f"{{{name}}}", word)
    return statement


async def _note(found: Attack, role: str, attempt: Attempt, answer: str | None) -> None:
    found.attempts += 1
    found.answers[answer or "harmless"] += 1
    if answer is not None and answer not in REFUSALS:
        found.vain.append(f"{role}, {answer}: {'; '.join(attempt.statements)}")
