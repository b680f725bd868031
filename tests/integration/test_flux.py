"""What Flux's kustomize-controller has applied is rolled back, in its repository, too. What needs pods is in e2e."""

from typing import Any

import pytest
import yaml

from controller.api.names import GIT_URLS
from controller.api.resources import SECRETS
from tests.flux import SERVING, Flux, controller
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, USER, Certificate, Origin, Served
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.test_notifications import opens, stall

__all__ = ["certificate", "opens", "server", "stall"]


@pytest.fixture(scope="session")
def flux_controller(api_server, tmp_path_factory):
    with controller(api_server, tmp_path_factory.mktemp("flux")) as running:
        yield running


@pytest.fixture
def flux(flux_controller, kube, namespace):
    return Flux(kube, namespace, flux_controller)


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


async def test_a_rollback_fails_what_flux_has_applied_and_goes_to_the_repository_that_it_follows(
    flux: Flux, stall: Stall, kube, server, certificate, origin
):
    """A gitOrigin without url: the Kustomization's own inventory says that it has applied the Release."""
    flux.url = f"{server.url}/shop.git"
    await kube.create(SECRETS, stall.namespace, secret(server, certificate))
    good, bad = (manifest(number, gitOrigin={"write": "Push", "secretRef": {"name": "shop-git"}}) for number in "12")
    origin.commit("version 1", good)
    first = await flux.commit(good)
    await flux.follow(SERVING)
    await flux.until_ready(first)
    stable = (await stall.until_phase("Healthy"))["stableRevision"]

    origin.commit("version 2", bad)
    second = await flux.commit(bad)
    await flux.until_ready(second)
    waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    await stall.ask("abort", waiting["canaryRevision"])
    await stall.until(lambda status: status.get("lastRollback", {}).get("git", {}).get("commit"))
    await stall.until_phase("RolledBack")
    await flux.look_again()
    assert f"Release/{stall.namespace}/web" in await flux.until_failed_early()

    assert origin.subjects()[0].startswith(f"Roll back {stall.namespace}/web to ")
    assert origin.read("release.yaml") == good["release.yaml"]
    back = await flux.commit({"release.yaml": origin.read("release.yaml")})
    await flux.until_ready(back)
    assert (await stall.until_phase("Healthy"))["stableRevision"] == stable
