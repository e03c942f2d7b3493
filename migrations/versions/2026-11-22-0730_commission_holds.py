"""Holds in a table of their own, so that a settlement writes no index of commissions."""

from app.db.scripts import run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("commission_holds")


def downgrade() -> None:
    run_script("commission_holds", "down")
