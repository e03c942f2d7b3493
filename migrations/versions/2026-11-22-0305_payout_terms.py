"""Least withdrawal and fee by merchant, cut-offs of batches, the account of a transfer, decisions of two people."""

from app.db.scripts import run_script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("payout_terms")


def downgrade() -> None:
    run_script("payout_terms", "down")
