"""`gitops/argocd/health.lua`, run by Lua 5.1 with what Argo CD leaves it of the libraries."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.api.conditions import conditions_of, write_conditions
from controller.api.phase import Phase
from controller.api.status import Status
from controller.api.status_format import status_to_raw
from tests import argocd_lua

SCRIPT = (Path(__file__).resolve().parents[2] / "gitops/argocd/health.lua").read_text()
SERVES = Status(phase=Phase.HEALTHY, message="aaaaaaaaaa serves", stable="aaaaaaaaaa", replicas=2, ready_replicas=2)


def released(status: Status | None, *, generation: int = 3, observed: int = 3, **metadata: Any) -> dict[str, Any]:
    """As the API server has it."""
    found: dict[str, Any] = {"metadata": {"name": "web", "generation": generation, **metadata}, "spec": {}}
    if status is not None:
        conditions = write_conditions(conditions_of(status), [], observed, 1.8e9)
        found["status"] = {**status_to_raw(status), "observedGeneration": observed, "conditions": conditions}
    return found


def health(release: dict[str, Any]) -> tuple[str, str]:
    return argocd_lua.health(SCRIPT, release)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.PENDING, "Progressing"),
        (Phase.PROGRESSING, "Progressing"),
        (Phase.PAUSED, "Suspended"),
        (Phase.WAITING, "Progressing"),
        (Phase.PROMOTING, "Progressing"),
        (Phase.BAKING, "Progressing"),
        (Phase.HEALTHY, "Healthy"),
        (Phase.ROLLING_BACK, "Progressing"),
        (Phase.ROLLED_BACK, "Degraded"),
        (Phase.INVALID, "Degraded"),
    ],
)
def test_each_phase_has_its_health_and_its_message(phase, expected):
    assert health(released(replace(SERVES, phase=phase, message="said"))) == (expected, "said")


def test_no_phase_was_forgotten():
    assert not [phase for phase in Phase if health(released(replace(SERVES, phase=phase)))[0] == "Unknown"]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.ROLLED_BACK, Phase.INVALID)])
def test_a_service_without_a_pod_that_serves_is_degraded(phase):
    found = health(released(replace(SERVES, phase=phase, ready_replicas=0)))
    assert found == ("Degraded", "no pod of aaaaaaaaaa serves")


def test_what_is_scaled_to_zero_is_healthy():
    assert health(released(replace(SERVES, replicas=0, ready_replicas=0)))[0] == "Healthy"


def test_a_first_version_is_on_its_way():
    first = Status(phase=Phase.PENDING, reason="Starting", message="pods start", replicas=2)
    assert health(released(first)) == ("Progressing", "pods start")


def test_a_change_that_was_not_looked_at_is_on_its_way():
    """Else the health of the version before would be taken for that of the new one, and a sync wave would go on."""
    assert health(released(SERVES, generation=4, observed=3))[0] == "Progressing"
    assert health(released(replace(SERVES, phase=Phase.ROLLED_BACK), generation=4, observed=3))[0] == "Progressing"


def test_a_release_without_a_status_is_on_its_way():
    assert health(released(None))[0] == "Progressing"


def test_a_release_that_is_being_deleted_is_on_its_way():
    assert health(released(SERVES, deletionTimestamp="2026-11-29T12:00:00Z"))[0] == "Progressing"


def test_a_phase_of_a_newer_version_is_unknown():
    release = released(SERVES)
    release["status"]["phase"] = "Teleporting"
    assert health(release)[0] == "Unknown"
