from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.ledger.rules import Balance
from app.ledger.statement import StatementLine


def balance_view(balance: Balance, *, member_id: str) -> dict[str, Any]:
    return {"object": "balance", "member_id": member_id, **asdict(balance)}


def statement_view(line: StatementLine) -> dict[str, Any]:
    return {"object": "ledger_entry", **asdict(line), "metadata": {}}
