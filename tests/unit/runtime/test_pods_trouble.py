"""Why pods are not ready, as their statuses say it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from controller.api.resources import PODS, RELEASES
from controller.kube.cache import ObjectCache
from controller.kube.objects import Key
from controller.runtime.pods import MOST, pods_of, trouble_of
from tests.unit.runtime.fault_world import World, release, run


def pod(*, waiting: str = "", message: str = "", restarts: int = 0, **status: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {}
    container = {"name": "web", "ready": False, "restartCount": restarts, "state": state}
    return {"metadata": {"name": "web-1"}, "status": {"containerStatuses": [container], **status}}


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_be_made_is_named_with_the_words_of_the_node(reason):
    trouble = trouble_of([pod(waiting=reason, message='secret "db" not found')], {})
    assert trouble is not None
    assert trouble.reason == "ContainerConfig"
    assert trouble.message == f'container web of web-1: secret "db" not found ({reason})'
    assert trouble.is_the_versions_fault
    assert not trouble.ends_the_trial


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_leftover_of_an_eviction_is_no_crash_loop_of_the_version(phase):
    leftover = pod(restarts=3, phase=phase, reason="Evicted", message="the node was low on memory")
    assert trouble_of([leftover], {}) is None
    trouble = trouble_of([leftover, pod(waiting="ImagePullBackOff")], {})
    assert trouble is not None
    assert trouble.reason == "ImagePull"


def test_a_pod_that_is_being_deleted_says_nothing_of_the_version():
    going = pod(restarts=3)
    going["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert trouble_of([going], {}) is None


def test_three_restarts_of_a_pod_that_runs_are_a_crash_loop():
    trouble = trouble_of([pod(restarts=3, phase="Running")], {})
    assert trouble is not None
    assert trouble.reason == "CrashLoop"
    assert trouble.ends_the_trial


class Pods:
    """As an API server answers: the first by name that have the phase that is asked for."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = [{**each, "metadata": {"name": f"web-{number:05}"}} for number, each in enumerate(pods)]
        self.read = 0

    async def first_page(self, resource: Any, namespace: str, *, labels: str, fields: str, most: int) -> Any:
        assert (resource, namespace, labels) == (PODS, "shop", "pointsman.dev/release=web,pointsman.dev/revision=b")
        found = [each for each in self.pods if all(meets(each, term) for term in fields.split(","))]
        self.read += len(found[:most])
        return found[:most], len(found) > most


def meets(each: dict[str, Any], term: str) -> bool:
    field, _, phase = term.replace("!=", "=").partition("=")
    assert field == "status.phase"
    return bool(each["status"]["phase"] == phase) != ("!=" in term)


async def found_in(cluster: Pods) -> str:
    trouble = trouble_of(await pods_of(cast("ObjectCache", cluster), Key("shop", "web"), "b"), {})
    return "" if trouble is None else trouble.reason


READY = {"status": {"phase": "Running"}}


async def test_of_ten_thousand_pods_a_bounded_number_is_read():
    cluster = Pods(*[READY] * 9_999, pod(phase="Running"))
    assert await found_in(cluster) == ""
    assert cluster.read <= 2 * MOST


async def test_the_one_of_ten_thousand_that_cannot_start_is_found():
    assert await found_in(Pods(*[READY] * 9_999, pod(waiting="ErrImagePull", phase="Pending"))) == "ImagePull"


async def test_crashes_of_most_of_ten_thousand_are_found():
    assert await found_in(Pods(*[READY, pod(restarts=3, phase="Running")] * 5_000)) == "CrashLoop"


async def test_thousands_that_were_evicted_hide_nobody():
    gone = pod(phase="Failed", reason="Evicted")
    cluster = Pods(*[gone] * 5_000, *[READY] * 20, pod(restarts=3, phase="Running"))
    assert await found_in(cluster) == "CrashLoop"
    assert cluster.read == 21


def test_why_a_trusted_version_lacks_pods_is_nobodys_question_and_a_new_ones_is():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}))
        running = world.start()
        await world.until_phase("web", "Healthy")

        def reads() -> int:
            return sum(asked.place.collection == PODS.path() for _, asked, _ in running.kube.log)

        before = reads()
        world.patch("web", {"spec": {"replicas": 9}})
        await world.until_phase("web", "Healthy")
        assert reads() == before
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        assert reads() > before

    run(story)
