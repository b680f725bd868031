"""A cluster that is built anew in mid-release, against a real API server and a real repository over HTTPS."""

import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from controller.api.resources import CONFIG_MAPS, DEPLOYMENTS, RELEASES
from controller.git import state
from controller.git.commits import content_and_commit
from controller.git.manifests import Identity
from controller.git.place import Place
from controller.git.remote import Remote
from controller.git.repository import Author, opened
from hack.node import build
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, Origin, git
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.test_git_rollback import FILE, origin_of
from tests.integration.test_notifications import opens, stall
from tests.unit.git.story import TESTED, anywhere

__all__ = ["certificate", "opens", "server", "stall"]
SETTINGS = "apps/settings.yaml"
OLD_CLUSTER = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(autouse=True)
def kubectl(monkeypatch):
    monkeypatch.setenv("PATH", str(build.program("kubectl").parent), prepend=os.pathsep)


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


def manifest(server, version):
    where = {"url": f"{server.url}/shop.git", "path": "apps", "secretRef": {"name": "shop-git"}, "write": "Push"}
    wanted = release(weight(10), APPROVE, gitOrigin=where)
    set_version(wanted, version)
    return wanted


async def recorded(origin, namespace):
    """By the old cluster: what is on main now is healthy."""
    identity = Identity(OLD_CLUSTER, namespace, "web")
    async with opened(Remote(origin.url, schemes=TESTED), anywhere) as repository:
        place = Place(repository, identity, "main", "apps")
        version = await place.rendered().version(await repository.fetch("main", 200))
        content, commit = await content_and_commit(place, version)
        assert commit
        record = state.Record("oldoldoldo", content, commit, 1_800_000_000.0)
        await state.write(repository, identity, record, Author("Pointsman", "p@shop.qa"))


@dataclass(frozen=True)
class Committed:
    """One version, as it stands in git, and as it comes to the cluster."""

    files: dict[str, str]
    release: dict[str, Any]
    config_map: dict[str, Any] | None = None


def by_the_manifest(server, version):
    wanted = manifest(server, version)
    return Committed({FILE: yaml.safe_dump(wanted)}, wanted)


def by_a_config_map(server, version):
    wanted = manifest(server, "1")
    wanted["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"MODE": version}}
    return Committed({FILE: yaml.safe_dump(wanted), SETTINGS: yaml.safe_dump(settings)}, wanted, settings)


def by_a_patch(server, version):
    env = "/spec/template/spec/containers/0/env/0/value"
    patch = {"target": {"kind": "Release"}, "patch": json.dumps([{"op": "replace", "path": env, "value": version}])}
    kustomization = yaml.safe_dump({"resources": ["web.yaml"], "patches": [patch]})
    files = {FILE: yaml.safe_dump(manifest(server, "0")), "apps/kustomization.yaml": kustomization}
    return Committed(files, manifest(server, version))


async def given(stall, kube, server, certificate, origin, committed=by_the_manifest):
    """Version 1 was healthy in the old cluster, which was at 10 % of version 2 when it was lost."""
    await origin_of(stall, kube, server, certificate)
    origin.commit("version 1", committed(server, "1").files)
    await recorded(origin, stall.namespace)
    bad = committed(server, "2")
    origin.commit("version 2", bad.files)
    if bad.config_map is not None:
        await kube.create(CONFIG_MAPS, stall.namespace, bad.config_map)
    return bad.release


async def seen_by(kube, namespace, revision):
    """VERSION and MODE of a version's pods."""
    deployment = await kube.get(DEPLOYMENTS, namespace, f"web-{revision}")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    mode = None
    for source in container.get("envFrom", []):
        mode = (await kube.get(CONFIG_MAPS, namespace, source["configMapRef"]["name"]))["data"]["MODE"]
    return container["env"][0]["value"], mode


@pytest.mark.parametrize(
    ("committed", "healthy", "tried"),
    [
        (by_the_manifest, ("1", None), ("2", None)),
        (by_a_config_map, ("1", "1"), ("1", "2")),
        (by_a_patch, ("1", None), ("2", None)),
    ],
)
async def test_record_rule_3_a_cluster_that_is_built_anew_begins_with_the_last_healthy_version(
    stall, kube, server, certificate, origin, committed, healthy, tried
):
    wanted = await given(stall, kube, server, certificate, origin, committed)
    await kube.create(RELEASES, stall.namespace, wanted)
    waiting = await stall.until(lambda status: status.get("reason") == "AwaitingApproval")
    assert waiting["weight"] == 10, "version 2 is at step one"
    assert waiting["stableRevision"] != waiting["canaryRevision"]
    assert "restoredRevision" not in waiting
    assert await seen_by(kube, stall.namespace, waiting["stableRevision"]) == healthy
    assert await seen_by(kube, stall.namespace, waiting["canaryRevision"]) == tried
    done = await stall.until(lambda status: status.get("recordedRevision") == waiting["stableRevision"])
    names = git(origin.bare, "ls-tree", "-r", "--name-only", state.BRANCH).split()
    assert len(names) == 2, "this cluster has a record of its own now"
    texts = [yaml.safe_load(git(origin.bare, "show", f"{state.BRANCH}:{name}")) for name in names]
    assert len({(text["content"], text["commit"]) for text in texts}) == 1, "and it says the same as the old one's"
    found = await kube.get(RELEASES, stall.namespace, "web")
    assert PASSWORD not in str(found)
    assert PASSWORD not in stall.operator.log.read_text()
    assert done["stableRevision"] == waiting["stableRevision"]


async def test_a_repository_that_hangs_is_waited_for_with_a_way_out(stall, kube, server, certificate, origin):
    await given(stall, kube, server, certificate, origin)
    server.hanging.set()
    await kube.create(RELEASES, stall.namespace, manifest(server, "2"))
    await stall.until(lambda status: status.get("reason") == "ReadingRecord")
    await kube.patch(
        RELEASES, stall.namespace, "web", {"metadata": {"annotations": {"pointsman.dev/without-record": "allow"}}}
    )
    await stall.until_phase("Healthy")


async def test_a_first_release_has_no_record_and_makes_one(stall, kube, server, certificate, origin):
    await origin_of(stall, kube, server, certificate)
    origin.commit("version 1", {FILE: yaml.safe_dump(manifest(server, "1"))})
    await stall.given(manifest(server, "1"))
    done = await stall.until(lambda status: status.get("recordedRevision"))
    assert done["recordedRevision"] == done["stableRevision"]
    (name,) = git(origin.bare, "ls-tree", "-r", "--name-only", state.BRANCH).split()
    text = yaml.safe_load(git(origin.bare, "show", f"{state.BRANCH}:{name}"))
    assert text["revision"] == done["stableRevision"]
    assert text["commit"] == git(origin.bare, "rev-parse", "main").strip()
