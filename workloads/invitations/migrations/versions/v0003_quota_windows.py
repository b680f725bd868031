"""The invitations of a user's last 24 hours, in one row (see `quota.py`). `quotas` goes with a later release."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quota_windows",
        sa.Column("inviter_user_id", sa.Text, primary_key=True),
        # Ids of invitations, the oldest first; JSON in SQLite.
        sa.Column("taken", sa.Text().with_variant(postgresql.ARRAY(sa.Text), "postgresql"), nullable=False),
        sa.Column("newest_at", sa.BigInteger, nullable=False, index=True),
    )
