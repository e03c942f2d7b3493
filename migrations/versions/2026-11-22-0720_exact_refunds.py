"""Refunds by name apart from those without; reasons of rejected commissions; payout fees that merchants bear."""

from app.db.scripts import run_script

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("exact_refunds")


def downgrade() -> None:
    run_script("exact_refunds", "down")
