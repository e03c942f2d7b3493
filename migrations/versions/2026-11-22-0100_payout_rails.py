"""Payouts that a provider carries out: their state there, merchants' credentials, the sandbox's books."""

from alembic import op

from app.db.scripts import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = ("package_info", "cancel_asked_at", "moved_at", "leased_until", "due_at", "attempts", "rail")


def upgrade() -> None:
    run_script("payout_rails")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE sandbox_transfers")
    op.execute("DROP TABLE payout_rails")
    op.execute("DELETE FROM payout_batch_files WHERE format NOT IN ('csv', 'xlsx')")
    op.execute("ALTER TABLE payout_batch_files DROP CONSTRAINT ck_payout_batch_files_format")
    op.execute(
        "ALTER TABLE payout_batch_files ADD CONSTRAINT ck_payout_batch_files_format CHECK (format IN ('csv', 'xlsx'))"
    )
    op.execute("ALTER TABLE payout_batch_files ALTER COLUMN format TYPE VARCHAR(8)")
    for column in COLUMNS:
        op.execute(f"ALTER TABLE payouts DROP COLUMN {column}")
    op.execute("ALTER TABLE payout_batches DROP COLUMN sent_at")
