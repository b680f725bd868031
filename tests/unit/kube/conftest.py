import pytest

from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, SERVICES
from controller.kube.cache import Memory
from tests.unit.kube.cache_world import Clock, Cluster


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
async def memory(cluster, clock):
    memory = Memory(cluster, clock)
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES):
        memory.trust(resource, watched=True)
    return memory
