"""Checkouts, providers' credentials and notices; stock that may be oversold, and orders that know what they took."""

from alembic import op

from app.db.scripts import run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("checkouts", "payment_providers", "payment_notices", "sandbox_payments")


def upgrade() -> None:
    run_script("checkouts")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE orders DROP COLUMN pieces")
    op.execute("UPDATE campaigns SET stock = 0 WHERE stock < 0")
    op.execute("ALTER TABLE campaigns ADD CONSTRAINT ck_campaigns_stock CHECK (stock IS NULL OR stock >= 0)")
