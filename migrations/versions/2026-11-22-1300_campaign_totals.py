"""A campaign's totals, found by an index that nobody could take for the primary key."""

from __future__ import annotations

from app.db.scripts import run_script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("campaign_totals")


def downgrade() -> None:
    run_script("campaign_totals", "down")
