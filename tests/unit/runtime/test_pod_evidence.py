"""A kubelet that hangs delays nothing but the record of what a rejected version's pods said."""

import asyncio

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import ANALYSIS_RUNS, DEPLOYMENTS, PODS, RELEASES
from controller.effects.pod_evidence import READ_S
from controller.rollout.pod_evidence import WAIT_S
from controller.rollout.traffic import ROUTER_FOLLOWS_S
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.fault_world import SHOP, release, run
from tests.unit.runtime.test_gates import canary_share
from tests.unit.runtime.weathers import trouble

STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}})


class OfPods(Weather):
    """Of each request for a log: whether it is never answered, or refused."""

    def __init__(self, *, forbidden=False):
        self.asked, self.forbidden = 0, forbidden

    async def serve(self, request, execute):
        if request.place.subresource == "log":
            self.asked += 1
            if self.forbidden:
                return await trouble(403, execute)
            await asyncio.Event().wait()
        return execute()


class NoRecord(Weather):
    """No AnalysisRun is taken, until it clears up."""

    over = False

    async def serve(self, request, execute):
        refused = request.is_write and request.place.collection == ANALYSIS_RUNS.path() and not self.over
        return await trouble(503, execute) if refused else execute()


async def aborted(world):
    """The canary had a fifth of the work, and one pod that ran. Seconds until it has none, and until its pods go."""
    world.create(RELEASES, release("web", *STEPS))
    world.start()
    await world.until_phase("web", "Healthy")
    world.commit("web", 2)
    await world.until_phase("web", "Paused")
    canary = world.status("web")["canaryRevision"]
    labels = {RELEASE_LABEL: "web", REVISION_LABEL: canary}
    container = {"name": "web", "restartCount": 1, "ready": True, "state": {"running": {}}}
    status = {"phase": "Running", "containerStatuses": [container]}
    world.create(PODS, {"metadata": {"name": f"web-{canary}-x", "labels": labels}, "status": status})
    loop = asyncio.get_running_loop()
    start = loop.time()
    world.ask("web", "abort")
    await world.until(lambda: canary_share(world, "web") == 0)
    back = loop.time() - start
    await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)
    return canary, back, loop.time() - start


def kept(world, canary):
    path = ANALYSIS_RUNS.path(SHOP, f"web-{canary}-{world.status('web')['attempt']}")
    return world.api.handle("GET", path, {}, None).body.get("status", {}).get("podEvidence")


def test_a_kubelet_that_hangs_delays_no_rollback_and_the_pods_for_seconds():
    weather = OfPods()

    async def story(world):
        canary, back, gone = await aborted(world)
        assert weather.asked == 1
        assert back <= 1
        assert gone <= max(ROUTER_FOLLOWS_S, READ_S) + 2
        assert kept(world, canary)["notKept"] == [f"the log of web-{canary}-x, container web: no answer within 4 s"]
        await world.until(lambda: "owed" not in world.status("web"))

    run(story, weather)


def test_without_the_right_to_read_logs_everything_else_goes_on():
    async def story(world):
        canary, back, _ = await aborted(world)
        assert back <= 1
        assert kept(world, canary)["notKept"] == ["logs: the operator may not read them (get pods/log)"]

    run(story, OfPods(forbidden=True))


def test_a_record_that_cannot_be_written_holds_the_pods_for_seconds_and_follows_later():
    weather = NoRecord()

    async def story(world):
        canary, back, gone = await aborted(world)
        assert back <= 1
        assert gone <= WAIT_S + 2
        await world.until_phase("web", "RolledBack")
        assert kept(world, canary) is None
        weather.over = True
        await world.until(lambda: kept(world, canary))
        await world.until(lambda: "owed" not in world.status("web"))

    run(story, weather)


def test_the_next_leader_keeps_what_the_last_one_did_not():
    weather = NoRecord()

    async def story(world):
        canary, _, _ = await aborted(world)
        await world.operators.pop().stop()
        weather.over = True
        world.start("b")
        await world.until(lambda: kept(world, canary))

    run(story, weather)
