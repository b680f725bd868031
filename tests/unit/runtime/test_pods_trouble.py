"""Why pods are not ready, as their statuses say it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.runtime.pods import trouble_of


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
