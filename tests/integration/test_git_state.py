"""A cluster that is built anew in mid-release, against a real API server and a real repository over HTTPS."""

import pytest
import yaml

from controller.api.resources import RELEASES
from controller.git import state
from controller.git.commits import commit_that_brought
from controller.git.manifests import Identity
from controller.git.plain import PlainView
from controller.git.remote import Remote
from controller.git.repository import Author, opened
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, Origin, git
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.test_git_rollback import FILE, origin_of
from tests.integration.test_notifications import opens, stall
from tests.unit.git.story import TESTED, anywhere

__all__ = ["certificate", "opens", "server", "stall"]
OLD_CLUSTER = "11111111-2222-3333-4444-555555555555"


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
        view = PlainView(repository, state.anywhere(identity), "main", "apps")
        head = await repository.fetch("main", 200)
        content = await content_at(view, head)
        commit = await commit_that_brought(repository, view, "main", content)
        record = state.Record("oldoldoldo", content, commit, 1_800_000_000.0)
        await state.write(repository, identity, record, Author("Pointsman", "p@shop.qa"))


async def content_at(view, commit):
    found = await view.manifest(commit)
    ports = found.document.value("spec", "service", "ports")
    return state.content_of(view.identity.namespace, "web", found.template, ports)


async def given(stall, kube, server, certificate, origin):
    """Version 1 was healthy in the old cluster, which was at 10 % of version 2 when it was lost."""
    await origin_of(stall, kube, server, certificate)
    origin.commit("version 1", {FILE: yaml.safe_dump(manifest(server, "1"))})
    await recorded(origin, stall.namespace)
    origin.commit("version 2", {FILE: yaml.safe_dump(manifest(server, "2"))})


async def test_a_cluster_that_is_built_anew_begins_with_the_last_healthy_version(
    stall, kube, server, certificate, origin
):
    await given(stall, kube, server, certificate, origin)
    await kube.create(RELEASES, stall.namespace, manifest(server, "2"))
    waiting = await stall.until(lambda status: status.get("reason") == "AwaitingApproval")
    assert waiting["weight"] == 10, "version 2 is at step one"
    assert waiting["stableRevision"] != waiting["canaryRevision"]
    assert "restoredRevision" not in waiting
    done = await stall.until(lambda status: status.get("recordedRevision") == waiting["stableRevision"])
    names = git(origin.bare, "ls-tree", "-r", "--name-only", state.BRANCH).split()
    assert len(names) == 2, "this cluster has a record of its own now"
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
