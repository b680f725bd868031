"""Clients that a version has served, for sticky canaries (see `clients.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clients",
        sa.Column("revision", sa.Text, primary_key=True),
        sa.Column("client_hash", sa.LargeBinary, primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False, index=True),
        sa.Column("bad_at", sa.BigInteger),
        sa.Column("told_at", sa.BigInteger),
    )
    where = sa.text("told_at IS NULL")
    op.create_index("clients_untold", "clients", ["seen_at"], postgresql_where=where, sqlite_where=where)
