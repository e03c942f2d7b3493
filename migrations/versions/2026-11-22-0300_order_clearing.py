"""Clearing accounts per order, the platform's fee, fulfilment; the inviters of earlier orders put right."""

from app.db.scripts import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("order_clearing")
    run_script("order_clearing", "backfill")


def downgrade() -> None:
    run_script("order_clearing", "down")
