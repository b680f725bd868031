"""Which schema this version needs. Apart from the migrations, as those who serve need nothing of Alembic."""

from workloads.invitations.database import Database

NEEDED = "0004"
"""Revision of a migration; they are numbered, so a newer one is greater, and has all that this version needs."""


async def is_there(database: Database) -> bool:
    """Raises DatabaseGoneError, also when nothing was ever migrated."""
    found = await database.once("SELECT version_num FROM alembic_version")
    return bool(found) and bool(found[0]["version_num"] >= NEEDED)
