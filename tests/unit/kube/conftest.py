import pytest

from controller.api.resources import DEPLOYMENTS, HTTP_ROUTES, SERVICES
from controller.kube.cache import ObjectCache
from tests.unit.kube.cache_world import Clock, Cluster


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
async def cache(cluster, clock):
    cache = ObjectCache(cluster, clock)
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES):
        cache.trust(resource, watched=True)
    return cache
