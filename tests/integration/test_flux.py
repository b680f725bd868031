"""Flux's kustomize-controller applies Releases, waits for them and prunes them; and Pointsman releases meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.names import GIT_URLS
from controller.api.resources import RELEASES, SECRETS
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, USER, Certificate, Origin, Served
from tests.integration.flux_fixture import Flux, flux, flux_controller
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.test_notifications import opens, stall

__all__ = ["certificate", "flux", "flux_controller", "opens", "server", "stall"]
FLUX = Path(__file__).parents[2] / "gitops" / "flux"
SERVING, PROMOTED = (yaml.safe_load((FLUX / f"{name}.yaml").read_text()) for name in ("serving", "promoted"))


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


def secret(server: Served, certificate: Certificate) -> dict[str, Any]:
    data = {"username": USER, "password": PASSWORD, "ca.crt": certificate.chain.read_text()}
    metadata = {"name": "shop-git", "annotations": {GIT_URLS: server.url}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def manifest(version: str, **spec: Any) -> dict[str, str]:
    wanted = release(weight(10), APPROVE, **spec)
    set_version(wanted, version)
    return {"release.yaml": yaml.safe_dump(wanted)}


async def until_waits(stall: Stall, before: str) -> dict[str, Any]:
    """For a person, with a tenth of the work."""
    return await stall.until(
        lambda status: status["reason"] == "AwaitingApproval" and status["canaryRevision"] != before
    )


def failed_early(found, status):
    return found.get("Ready", {}).get("reason") == "HealthCheckFailed" and "stalled" in found["Ready"]["message"]


async def test_serving_is_ready_in_mid_release_and_fails_with_a_rollback(flux: Flux, stall: Stall):
    first = await flux.commit(manifest("1"))
    await flux.follow(SERVING)
    await flux.until_ready(first)
    stable = (await stall.until_phase("Healthy"))["stableRevision"]

    second = await flux.commit(manifest("2"))
    await flux.until_ready(second)
    waiting = await until_waits(stall, "")

    # server-side apply in mid-release: another field, then nothing new
    third = await flux.commit(manifest("2", revisionHistoryLimit=3))
    await flux.until_ready(third)
    now = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    assert (await stall.release())["spec"]["revisionHistoryLimit"] == 3
    same = ("canaryRevision", "attempt", "step", "weight")
    assert {key: now[key] for key in same} == {key: waiting[key] for key in same}
    assert await stall.shares() == {stable: 9_000, waiting["canaryRevision"]: 1_000}

    await stall.ask("abort", waiting["canaryRevision"])
    await stall.until_phase("RolledBack")
    await flux.look_again()
    conditions = await flux.until(failed_early)
    assert f"Release/{stall.namespace}/web" in conditions["Ready"]["message"]

    back = await flux.commit(manifest("1"))
    await flux.until_ready(back)
    assert (await stall.until_phase("Healthy"))["stableRevision"] == stable


async def test_promoted_is_ready_when_the_release_is_over(flux: Flux, stall: Stall):
    await flux.commit(manifest("1"))
    await flux.follow(PROMOTED)
    await stall_appears(flux, stall)
    await stall.until_phase("Healthy")

    second = await flux.commit(manifest("2"))
    waiting = await until_waits(stall, "")
    conditions = await flux.until(lambda _, status: status.get("lastAttemptedRevision") == second)
    assert conditions["Ready"]["status"] != "True", "a person has to approve first"
    await stall.ask("approve", waiting["canaryRevision"])
    await flux.until_ready(second)
    assert (await stall.until_phase("Healthy"))["stableRevision"] == waiting["canaryRevision"]

    await flux.commit(manifest("3"))
    bad = await until_waits(stall, waiting["canaryRevision"])
    await stall.ask("abort", bad["canaryRevision"])
    await flux.until(failed_early)


async def test_a_rollback_goes_to_the_repository_that_flux_follows(
    flux: Flux, stall: Stall, kube, server, certificate, origin
):
    """A gitOrigin without url: the Kustomization's own inventory says that it has applied the Release."""
    flux.url = f"{server.url}/shop.git"
    await kube.create(SECRETS, stall.namespace, secret(server, certificate))
    good, bad = (manifest(number, gitOrigin={"write": "Push", "secretRef": {"name": "shop-git"}}) for number in "12")
    origin.commit("version 1", good)
    await flux.commit(good)
    await flux.follow(SERVING)
    await stall_appears(flux, stall)
    await stall.until_phase("Healthy")
    origin.commit("version 2", bad)
    await flux.commit(bad)
    waiting = await until_waits(stall, "")
    await stall.ask("abort", waiting["canaryRevision"])
    await stall.until(lambda status: status.get("lastRollback", {}).get("git", {}).get("commit"))
    assert origin.read("release.yaml") == good["release.yaml"]
    assert origin.subjects()[0].startswith(f"Roll back {stall.namespace}/web to ")


async def test_a_release_whose_file_is_gone_is_pruned(flux: Flux, stall: Stall, kube):
    keep = {
        "settings.yaml": yaml.safe_dump(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
        )
    }
    first = await flux.commit({**manifest("1"), **keep})
    await flux.follow(SERVING)
    await flux.until_ready(first)
    without = await flux.commit(keep)
    await flux.until_ready(without)
    assert await kube.find(RELEASES, stall.namespace, "web") is None
    async with asyncio.timeout(120):  # the garbage collector takes what it owned
        while True:
            if not any((await stall.objects()).values()):
                break
            await asyncio.sleep(0.1)


async def stall_appears(flux: Flux, stall: Stall) -> None:
    """Flux makes it, not the test."""
    await flux.until(lambda _, status: any(entry["id"].endswith("_Release") for entry in _inventory(status)))
    await stall.until(lambda status: status.get("phase"))


def _inventory(status: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = status.get("inventory", {}).get("entries", [])
    return entries
