import pytest

from tests.unit.core.world import World


@pytest.fixture
def world():
    return World()
