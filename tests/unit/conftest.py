import pytest

from tests.unit.rollout.world import World


@pytest.fixture
def world():
    return World()
