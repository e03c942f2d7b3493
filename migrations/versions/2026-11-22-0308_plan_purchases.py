"""Plans by the month and the year, what merchants bought of them, and how they fund what promoters are paid."""

from app.db.scripts import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("plan_purchases")


def downgrade() -> None:
    run_script("plan_purchases", "down")
