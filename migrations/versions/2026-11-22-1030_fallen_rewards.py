"""Rewards whose order was refunded, and that another order brings back: which they are, and how often."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE rewards ADD COLUMN fallen BOOLEAN DEFAULT false NOT NULL")
    op.execute("ALTER TABLE rewards ADD COLUMN round SMALLINT DEFAULT 0 NOT NULL")
    op.execute(
        "ALTER TABLE rewards ADD CONSTRAINT ck_rewards_fallen CHECK (NOT fallen OR status = 'revoked') NOT VALID"
    )
    op.execute("ALTER TABLE rewards VALIDATE CONSTRAINT ck_rewards_fallen")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE rewards DROP CONSTRAINT ck_rewards_fallen, DROP COLUMN round, DROP COLUMN fallen")
