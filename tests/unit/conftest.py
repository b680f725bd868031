import os
import shutil

import hypothesis
import pytest

from hack.node import paths
from tests.unit.rollout.world import World

if shutil.which("uv") is None:  # our scripts keep one there, and tests may be started without them
    os.environ["PATH"] = f"{paths.cache() / 'uv' / 'bin'}:{os.environ['PATH']}"

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one stops a test for half a second
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def world():
    return World()
