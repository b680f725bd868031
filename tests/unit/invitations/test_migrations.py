"""Migrations only go forward, one after the other."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from workloads.invitations import migrating, schema


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrating.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_the_newest_is_what_this_version_needs():
    """I23."""
    assert scripts().get_heads() == [schema.NEEDED]


def test_each_has_a_number_and_none_a_way_back():
    """I23."""
    found = list(scripts().walk_revisions())
    assert [each.revision for each in reversed(found)] == [f"{number:04d}" for number in range(1, len(found) + 1)]
    assert not any(hasattr(each.module, "downgrade") for each in found)


def test_none_takes_away_what_the_version_before_may_use():
    """I23: a later release contracts, and says so in its name."""
    for each in scripts().walk_revisions():
        source = Path(each.path).read_text()
        assert "contract" in Path(each.path).name or not any(
            word in source for word in ("drop_", "alter_column", "rename_", "op.execute")
        )
