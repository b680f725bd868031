"""Which ReleaseRepositories are followed: also where no event tells that one is gone."""

import time

from controller.api.resources import RELEASE_REPOSITORIES
from controller.kube.objects import Key
from controller.runtime.event_router import EventRouter
from controller.sync.controller import RepositoryController, request_of
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, Weather

KEY = Key("shop", "shop")
SPEC = {"url": "https://git.qa/team/shop.git", "serviceAccountName": "deployer", "suspend": True}


async def nowhere(host, port):
    raise AssertionError(f"{host}:{port} is called")


async def test_a_suspended_one_whose_deletion_no_event_told_of_is_forgotten_by_the_resync():
    """It has no timer that would find it gone, and would keep a place of its namespace for ever."""
    api = FakeApi(time.time)
    kube = FakeClient(api, Weather, "sync")
    router = EventRouter(kube)
    controller = RepositoryController(kube, nowhere, router.add, time.time, lambda *_, **__: None)
    queue = router.register(controller)
    body = {"metadata": {"name": KEY.name}, "spec": SPEC}
    assert api.handle("POST", RELEASE_REPOSITORIES.path(KEY.namespace), {}, body).status == 201
    await controller.reconcile(request_of(KEY))
    assert [key for key, _ in controller.followers()] == [KEY]

    assert api.handle("DELETE", RELEASE_REPOSITORIES.path(KEY.namespace, KEY.name), {}, None).status == 200
    await router.resync(controller, None)
    while len(queue):
        await controller.reconcile(await queue.get())
    assert controller.followers() == []
