"""A rejected version ends with a commit in git, against a real API server and a real repository over HTTPS."""

import base64

import pytest
import yaml

from controller.api.resources import CONFIG_MAPS, RELEASES, SECRETS
from controller.views.explanation import Explanation
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, USER, Origin
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.test_notifications import bad_version, opens, stall

__all__ = ["certificate", "opens", "server", "stall"]
FILE = "apps/web.yaml"


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


async def origin_of(stall, kube, server, certificate, write="Push"):
    """A `gitOrigin`, whose Secret is there."""
    data = {"username": USER, "password": PASSWORD, "ca.crt": certificate.chain.read_text()}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    marked = {"name": "shop-git", "annotations": {"pointsman.dev/git-urls": server.url}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": marked, "data": encoded}
    await kube.create(SECRETS, stall.namespace, secret)
    return {"url": f"{server.url}/shop.git", "path": "apps", "secretRef": {"name": "shop-git"}, "write": write}


async def given(stall, kube, server, certificate, origin, write="Push"):
    """Version 1 in the cluster and in git, then version 2 in git; the Release as it is there."""
    wanted = release(weight(10), APPROVE, gitOrigin=await origin_of(stall, kube, server, certificate, write))
    origin.commit("version 1", {FILE: "# ours\n" + yaml.safe_dump(wanted)})
    good = origin.read(FILE)
    set_version(wanted, "2")
    origin.commit("version 2", {FILE: "# ours\n" + yaml.safe_dump(wanted)})
    set_version(wanted, "1")
    await stall.given(wanted)
    return good


async def test_a_rejected_version_ends_with_a_commit_in_git(stall, kube, server, certificate, origin):
    good = await given(stall, kube, server, certificate, origin)
    await bad_version(stall)
    done = await stall.until(lambda status: "owed" not in status)
    written = done["lastRollback"]["git"]["commit"]
    assert origin.read(FILE) == good
    assert origin.subjects()[0].startswith(f"Roll back {stall.namespace}/web to ")
    found = await kube.get(RELEASES, stall.namespace, "web")
    assert any(f"commit {written[:12]}" in line for line in Explanation(found, "", None, None).lines(0.0))
    assert all(one["type"] != "GitWritePending" for one in done["conditions"])
    assert PASSWORD not in str(found)
    assert PASSWORD not in stall.operator.log.read_text()

    await stall.commit("1")
    back = await stall.until_phase("Healthy")
    assert back["attempt"] == done["attempt"], "what git has now is no new release"


async def test_a_git_server_that_hangs_delays_nothing_but_the_commit(stall, kube, server, certificate, origin):
    good = await given(stall, kube, server, certificate, origin)
    server.hanging.set()
    back = await bad_version(stall)
    assert "GitWritePending" in {one["type"] for one in back["conditions"]}
    await stall.commit("3")
    waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    await stall.ask("approve", waiting["canaryRevision"])
    new = waiting["canaryRevision"]
    await stall.until(lambda status: status["phase"] == "Healthy" and status["stableRevision"] == new)
    assert origin.read(FILE) != good


async def test_a_protected_branch_leaves_a_branch_to_be_merged(stall, kube, server, certificate, origin):
    good = await given(stall, kube, server, certificate, origin)
    origin.hook("update", '[ "$1" != refs/heads/main ]')
    await bad_version(stall)
    done = await stall.until(lambda status: "owed" not in status)
    branch = done["lastRollback"]["git"]["branch"]
    assert origin.read(FILE, branch) == good
    assert "GitWritePending" in {one["type"] for one in done["conditions"]}


async def test_a_false_alarm_is_tried_again_and_its_commit_is_taken_back(stall, kube, server, certificate, origin):
    await given(stall, kube, server, certificate, origin)
    bad = origin.read(FILE)
    await bad_version(stall)
    done = await stall.until(lambda status: "owed" not in status)
    rejected = done["lastRollback"]["revision"]
    await stall.commit("1")
    await stall.until_phase("Healthy")
    await stall.ask("retry", rejected)
    again = await stall.until(lambda status: status["lastRollback"]["git"].get("retried") and "owed" not in status)
    assert again["lastRollback"]["git"]["commit"]
    assert origin.read(FILE) == bad
    assert [one.split(" ")[0] for one in origin.subjects()[:2]] == ["Try", "Roll"]
    await stall.commit("2")
    await stall.until(lambda status: status.get("canaryRevision") == rejected)


def settings(mode):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    return {**body, "data": {"MODE": mode, "lines": "a\nb\n"}, "binaryData": {"key": "AAE="}}


async def test_the_content_of_a_config_map_goes_back_with_the_version(stall, kube, server, certificate, origin):
    """The operator reads it from the API server, the rollback from git: both call the version by the same name."""
    wanted = release(weight(10), APPROVE, gitOrigin=await origin_of(stall, kube, server, certificate))
    wanted["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    names = {"metadata": {"name": wanted["metadata"]["name"], "namespace": stall.namespace}}
    files = {FILE: yaml.safe_dump({**wanted, **names}), "apps/settings.yaml": yaml.safe_dump(settings("fast"))}
    origin.commit("version 1", files)
    await kube.create(CONFIG_MAPS, stall.namespace, settings("fast"))
    await stall.given(wanted)
    set_version(wanted, "2")
    origin.commit(
        "version 2",
        {FILE: yaml.safe_dump({**wanted, **names}), "apps/settings.yaml": yaml.safe_dump(settings("slow"))},
    )
    found = await kube.get(CONFIG_MAPS, stall.namespace, "settings")
    await kube.replace(CONFIG_MAPS, {**found, "data": settings("slow")["data"]})
    await stall.until(lambda status: status.get("canaryRevision"))
    await bad_version(stall)
    done = await stall.until(lambda status: "owed" not in status)
    assert done["lastRollback"]["git"].get("commit"), done["lastRollback"]
    assert {name: origin.read(name) for name in files} == files


async def test_a_secret_that_is_not_marked_for_the_repository_is_not_sent(stall, kube, server, certificate, origin):
    await given(stall, kube, server, certificate, origin)
    await stall.until(lambda status: "recordedRevision" in status)
    secret = await kube.get(SECRETS, stall.namespace, "shop-git")
    secret["metadata"]["annotations"]["pointsman.dev/git-urls"] = "https://git.example.com/team"
    await kube.replace(SECRETS, secret)
    server.requests.clear()
    await bad_version(stall)
    waiting = await stall.until(lambda status: "note" in status["lastRollback"].get("git", {}))
    assert "annotate it with pointsman.dev/git-urls" in waiting["lastRollback"]["git"]["note"]
    assert server.requests == []
    secret = await kube.get(SECRETS, stall.namespace, "shop-git")
    secret["metadata"]["annotations"]["pointsman.dev/git-urls"] = server.url
    await kube.replace(SECRETS, secret)
    done = await stall.until(lambda status: "owed" not in status)
    assert done["lastRollback"]["git"]["commit"]
