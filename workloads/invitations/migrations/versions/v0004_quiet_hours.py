"""When a row of the outbox may be sent. Rows of a version that does not know of it are due at once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("due_at", sa.BigInteger, nullable=False, server_default="0"))
    where = sa.text("sent_at IS NULL")
    op.create_index("outbox_due", "outbox", ["due_at", "position"], postgresql_where=where, sqlite_where=where)
