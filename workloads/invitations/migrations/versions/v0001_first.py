"""The first schema. No `downgrade`: a schema only ever grows while two versions use it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.BigInteger


def upgrade() -> None:
    _limits()
    _invitations()
    _sending()
    _afterwards()


def _limits() -> None:
    op.create_table(
        "quotas",
        sa.Column("inviter_user_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),  # days since 1970, UTC
        sa.Column("used", sa.Integer, nullable=False),
    )
    op.create_table(
        "phones",
        sa.Column("phone_hash", sa.LargeBinary, primary_key=True),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("invitation_id", sa.Text, nullable=False),
    )
    op.create_index("phones_until", "phones", ["until"])


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("invitation_id", sa.Text, primary_key=True),
        sa.Column("inviter_user_id", sa.Text, nullable=False),
        sa.Column("inviter_name", sa.Text, nullable=False),
        sa.Column("phone_hash", sa.LargeBinary),  # null once purged, with the two below
        sa.Column("phone_cipher", sa.LargeBinary),
        sa.Column("key_id", sa.Text),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("invite_code", sa.Text, nullable=False, unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME),
        sa.Column("delivered_at", _TIME),
        sa.Column("accepted_at", _TIME),
        sa.Column("accepted_by", sa.Text, unique=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("trace_parent", sa.Text, nullable=False),
        sa.Column("provider", sa.Text),
        sa.Column("provider_message_id", sa.Text, index=True),
    )
    op.create_index("invitations_of_inviter", "invitations", ["inviter_user_id", "invitation_id"])
    _partial("invitations_with_number", "invitations", "created_at", "phone_cipher IS NOT NULL")
    _partial("invitations_open", "invitations", "expires_at", "status NOT IN ('ACCEPTED', 'EXPIRED', 'FAILED')")
    op.create_table(
        "idempotency",
        sa.Column("inviter_user_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("invitation_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, index=True),
    )


def _partial(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], postgresql_where=where, sqlite_where=where)


def _sending() -> None:
    op.create_table(
        "outbox",
        # SQLite numbers by itself only what is exactly INTEGER PRIMARY KEY.
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("invitation_id", sa.Text, nullable=False, unique=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("taken_at", _TIME),
        sa.Column("sent_at", _TIME),
    )
    _partial("outbox_unsent", "outbox", "position", "sent_at IS NULL")
    _partial("outbox_sent", "outbox", "sent_at", "sent_at IS NOT NULL")
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Text, primary_key=True),
        sa.Column("invitation_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("provider_message_id", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("why", sa.Text),
        sa.UniqueConstraint("invitation_id", "number"),
    )
    op.create_index("attempts_outcome", "attempts", ["outcome", "started_at"])
    op.create_table(
        "callbacks",
        sa.Column("provider_message_id", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, primary_key=True),
        sa.Column("received_at", _TIME, nullable=False),
    )


def _afterwards() -> None:
    op.create_table(
        "rewards",
        sa.Column("invitation_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "optouts",
        sa.Column("phone_hash", sa.LargeBinary, primary_key=True),
        sa.Column("since", _TIME, nullable=False),
    )
