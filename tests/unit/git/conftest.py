"""A repository with a Release in it."""

import pytest

from tests.git_server import Origin
from tests.unit.git.story import FILE, GOOD


@pytest.fixture
def origin(tmp_path):
    origin = Origin(tmp_path / "git")
    origin.commit("first", {FILE: GOOD, "apps/api.yaml": "kind: Deployment\n", "other/x.yaml": "a: 1\n"})
    return origin
