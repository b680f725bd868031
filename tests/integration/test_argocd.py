"""What Argo CD shows of a release: by our script, and by the rules that it has itself for what stands beside it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.resources import HTTP_ROUTES
from hack.node import build
from tests.argocd_lua import health
from tests.integration.operator_fixture import APPROVE, release, weight

OURS = (Path(__file__).parents[2] / "gitops/argocd/health.lua").read_text()
ROLLOUT, ROUTE = "argoproj.io/Rollout", f"{HTTP_ROUTES.group}/{HTTP_ROUTES.kind}"


def published(kind: str) -> Path:
    return build.program("argo-cd-rules") / kind


def rule(kind: str) -> str:
    return (published(kind) / "health.lua").read_text()


def cases(kind: str) -> list[tuple[str, dict[str, Any], str]]:
    listed = yaml.safe_load((published(kind) / "health_test.yaml").read_text())["tests"]
    return [
        (
            one["inputPath"],
            yaml.safe_load((published(kind) / one["inputPath"]).read_text()),
            one["healthStatus"]["status"],
        )
        for one in listed
    ]


@pytest.mark.parametrize("kind", [ROLLOUT, ROUTE])
def test_what_is_published_runs_here_as_it_does_there(kind):
    found = {name: health(rule(kind), manifest)[0] for name, manifest, _ in cases(kind)}
    assert found == {name: expected for name, _, expected in cases(kind)}
    assert len(found) >= 4


async def test_each_state_of_a_release_is_shown_as_that_of_a_rollout_would_be(stall):
    """Who comes from Argo Rollouts sees the same words: paused, promoted, aborted."""

    async def shown() -> tuple[str, str]:
        route = await stall.kube.get(HTTP_ROUTES, stall.namespace, stall.name)
        return health(OURS, await stall.release())[0], health(rule(ROUTE), route)[0]

    await stall.given(release(weight(10), APPROVE))
    assert await shown() == ("Healthy", "Healthy")
    await stall.commit("2")
    waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    assert await shown() == ("Suspended", "Healthy")
    await stall.ask("abort", waiting["canaryRevision"])
    await stall.until_phase("RolledBack")
    assert await shown() == ("Degraded", "Healthy")
    await stall.commit("1")
    await stall.until_phase("Healthy")
    assert await shown() == ("Healthy", "Healthy")
    words = {Path(name).name: expected for name, _, expected in cases(ROLLOUT)}
    assert words["suspended_userPause.yaml"] == "Suspended"
    assert words["degraded_abortedRollout.yaml"] == "Degraded"
