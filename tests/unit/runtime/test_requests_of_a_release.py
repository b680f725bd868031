"""What one whole healthy release asks of the API server, by kind: a hundred at once are a hundred times as much."""

from __future__ import annotations

from collections import Counter

from controller.api.resources import RELEASES
from tests.unit.runtime.fake_client import Request
from tests.unit.runtime.fault_world import World, release, run

STEPS = ({"weight": 20}, {"pause": {"for": "1s"}}, {"weight": 50})
"""As in `hack/bench storm`."""


def test_a_healthy_release_costs_no_request_more_than_it_needs():
    asked: Counter[str] = Counter()

    async def story(world: World) -> None:
        operator = world.start()
        world.create(RELEASES, release("web", *STEPS, replicas=0, drain={"quiet": "0s", "max": "5s"}))
        await world.until_phase("web", "Healthy", 1)
        before = len(operator.kube.log)
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", 2)
        asked.update(kind(request) for _, request, _ in operator.kube.log[before:])

    run(story)
    del asked["GET leases"], asked["PUT leases"]
    assert asked == {
        "POST deployments": 1,
        "POST services": 1,
        "POST controllerrevisions": 1,
        # 20 %, 50 %, everything
        "PUT httproutes": 3,
        # the finalizer is there while the route sends work to a canary
        "PATCH releases": 2,
        "PATCH services": 1,
        # the attempt at 20 %, the pause is over, the attempt at 50 %, stable, Healthy; and twice that the router has
        # taken what was meant, which is the price of naming a weight before it is given
        "PUT releases/status": 7,
        # NewVersion, Weight, StepDone, Weight, Promoted
        "POST events": 5,
        "DELETE services": 1,
        "DELETE deployments": 1,
        # the old ones, of which spec.revisionHistoryLimit are kept
        "GET controllerrevisions": 1,
    }


def kind(request: Request) -> str:
    place = request.place
    resource = place.collection.rsplit("/")[-1]
    return f"{request.method} {resource}{'/' + place.subresource if place.subresource else ''}"
