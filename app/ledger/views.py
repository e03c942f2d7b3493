from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from app.kit.spreadsheets import Cell
from app.ledger.rules import Balance
from app.ledger.statement import Edge, Statement, StatementLine

CSV_COLUMNS = (
    "entry_id",
    "transaction_id",
    "kind",
    "reference",
    "account",
    "amount",
    "balance",
    "fee",
    "currency",
    "occurred_at",
    "created_at",
)


def balance_view(balance: Balance, *, member_id: str) -> dict[str, Any]:
    return {"object": "balance", "member_id": member_id, **asdict(balance)}


def statement_view(line: StatementLine) -> dict[str, Any]:
    """A member's account is a bucket of their balance."""
    shown = asdict(line)
    return {"object": "ledger_entry", "bucket": shown.pop("account"), **shown, "metadata": {}}


def merchant_statement_view(line: StatementLine) -> dict[str, Any]:
    shown = asdict(line)
    del shown["fee_minor"]
    return {"object": "ledger_entry", **shown, "metadata": {}}


def edges_view(edges: Sequence[Edge]) -> list[dict[str, Any]]:
    return [asdict(edge) for edge in edges]


def statement_rows(found: Statement) -> list[tuple[Cell, ...]]:
    """Newest first, so that one page goes on where the one before ended: the closing balances, the entries, and with
    the last page the opening balances."""
    rows = [*map(_row, found.page.rows)]
    return rows if found.page.next_cursor else [*rows, *edge_rows(found.edges, "opening_balance")]


def whole_rows(lines: Iterable[StatementLine], edges: Sequence[Edge]) -> list[tuple[Cell, ...]]:
    """Oldest first, between what stood before and after."""
    return [*edge_rows(edges, "opening_balance"), *map(_row, lines), *edge_rows(edges, "closing_balance")]


def edge_rows(edges: Iterable[Edge], kind: str) -> list[tuple[Cell, ...]]:
    return [("", "", kind, "", edge.account, "", _yuan(_of(edge, kind)), "", edge.currency, "", "") for edge in edges]


def _of(edge: Edge, kind: str) -> int:
    return edge.opening_minor if kind == "opening_balance" else edge.closing_minor


def _row(line: StatementLine) -> tuple[Cell, ...]:
    amounts = (_yuan(line.amount_minor), _yuan(line.balance_minor), _yuan(line.fee_minor))
    instants = (line.occurred_at.isoformat(), line.created_at.isoformat())
    return (line.id, line.transaction_id, line.kind, line.reference, line.account, *amounts, line.currency, *instants)


def _yuan(amount_minor: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-2)
