import os
import shutil

import pytest

from hack.node import paths
from tests.unit.rollout.world import World

if shutil.which("uv") is None:  # our scripts keep one there, and tests may be started without them
    os.environ["PATH"] = f"{paths.cache() / 'uv' / 'bin'}:{os.environ['PATH']}"


@pytest.fixture
def world():
    return World()
