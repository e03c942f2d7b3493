"""Refunds that are carried to the provider of their payment, and plans that end with the refund of their sale."""

from app.db.scripts import run_script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("paid_back")


def downgrade() -> None:
    run_script("paid_back", "down")
