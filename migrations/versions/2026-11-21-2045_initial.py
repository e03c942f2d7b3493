"""The first schema: tables, the ledger's trigger, partitions, roles' rights, plans."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = Path(__file__).parent.parent / "sql" / "initial"
TABLES = (
    "tracked_events, event_keys, stream_positions, counter_repairs, participant_totals, participant_visitors, "
    "webhook_deliveries, webhook_endpoints, assets, poster_templates, commissions, payouts, payout_batch_files, "
    "payout_batches, withdrawals, payee_accounts, ledger_entries, ledger_transactions, ledger_accounts, refunds, "
    "order_lines, orders, memberships, membership_grants, rewards, referrals, participants, campaign_rules, "
    "campaigns, members, outbox_events, audit_entries, idempotency_keys, phone_codes, api_keys, merchant_users, "
    "merchants, plans"
)


def upgrade() -> None:
    for path in sorted(STATEMENTS.glob("*.sql")):
        _run_script(path.read_text("utf-8"))


def _run_script(script: str) -> None:
    """Many statements at once, which only the driver's own simple protocol takes."""
    connection: Any = op.get_bind().connection
    connection.dbapi_connection.await_(connection.driver_connection.execute(script))


def downgrade() -> None:
    op.execute(f"DROP TABLE {TABLES}")
    op.execute("DROP SEQUENCE participant_numbers")
    op.execute("DROP FUNCTION ledger_entries_added()")
    op.execute("DROP FUNCTION ledger_accounts_open_empty()")
    op.execute("DROP FUNCTION ensure_event_partitions(date, integer)")
    op.execute("DROP FUNCTION forget_event_origins(date)")
