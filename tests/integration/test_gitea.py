"""Rollbacks on a real forge: pushed, or proposed where the branch does not take them, and merged by a person."""

import pytest
import yaml

from controller.api.resources import RELEASES, SECRETS
from controller.git.forges.calls import Api, PullRequest
from controller.git.forges.gitea import open_pull_request
from controller.git.remote import Credentials, GitError, Remote
from controller.views.explanation import Explanation
from tests.integration.forge_fixture import ADDRESS, ROBOT, ForgeRepository, forge, forged
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.test_notifications import LOOPBACK, bad_version, opens, stall, until
from tests.openpgp import openpgp_key
from tests.unit.git.test_signing import make_key

__all__ = ["forge", "forged", "opens", "stall"]
FILE = "apps/web.yaml"


async def given(stall, kube, forged: ForgeRepository, write="Push", **origin):
    """Version 1 in the cluster and in git, then version 2 in git; the file as it was with version 1."""
    await kube.create(SECRETS, stall.namespace, forged.forge.secret())
    where = {"url": forged.url, "path": "apps", "secretRef": {"name": "shop-git"}, "write": write, "forge": "Gitea"}
    wanted = release(weight(10), APPROVE, gitOrigin={**where, **origin})
    forged.commit("version 1", {FILE: "# ours\n" + yaml.safe_dump(wanted)})
    good = forged.read(FILE)
    set_version(wanted, "2")
    forged.commit("version 2", {FILE: "# ours\n" + yaml.safe_dump(wanted)})
    set_version(wanted, "1")
    await stall.given(wanted)
    return good


async def settled(stall):
    return await stall.until(lambda status: "owed" not in status)


def pending(status) -> bool:
    return "GitWritePending" in {one["type"] for one in status["conditions"]}


async def test_a_rollback_is_pushed(stall, kube, forged):
    good = await given(stall, kube, forged)
    await bad_version(stall)
    done = await settled(stall)
    assert forged.read(FILE) == good
    assert forged.subjects()[0].startswith(f"Roll back {stall.namespace}/web to ")
    written = forged.api("GET", f"/git/commits/{done['lastRollback']['git']['commit']}")
    assert written["commit"]["author"]["name"] == "Pointsman"
    assert not pending(done)
    assert forged.pulls("all") == []


async def test_a_protected_branch_gets_a_pull_request_that_a_person_merges(stall, kube, forged):
    good = await given(stall, kube, forged)
    forged.protect()
    back = await bad_version(stall)
    done = await settled(stall)
    (pull,) = forged.pulls()
    written = done["lastRollback"]["git"]
    assert written["pullRequest"] == pull["html_url"]
    assert (pull["head"]["ref"], pull["base"]["ref"]) == (written["branch"], "main")
    assert (pull["user"]["login"], pull["mergeable"]) == (ROBOT, True)
    assert f"{back['lastRollback']['revision']} was rolled back" in pull["body"]
    assert pending(done)
    found = await kube.get(RELEASES, stall.namespace, "web")
    assert any(pull["html_url"] in line for line in Explanation(found, "", None, None).lines(0.0))

    forged.merge(pull["number"])
    assert forged.read(FILE) == good
    await stall.commit("1")  # as it is in git now
    after = await stall.until_phase("Healthy")
    assert after["attempt"] == done["attempt"], "what git has now is no new release"
    assert not pending(after)


async def test_a_branch_that_takes_signed_commits_alone_gets_a_pull_request(stall, kube, forged):
    good = await given(stall, kube, forged)
    forged.protect(enable_push_whitelist=False, require_signed_commits=True)
    await bad_version(stall)
    await settled(stall)
    (pull,) = forged.pulls()
    assert forged.read(FILE, pull["head"]["ref"]) == good
    assert forged.read(FILE) != good


@pytest.mark.parametrize("kind", ["OpenPGP", "SSH"])
async def test_a_branch_that_takes_signed_commits_alone_takes_a_signed_rollback(stall, kube, forged, tmp_path, kind):
    if kind == "OpenPGP":
        private, public = openpgp_key(ADDRESS)
        forged.forge.trust_openpgp(public)
        secret = {"git.asc": private}
    else:
        private, public = make_key(tmp_path)
        forged.forge.trust_ssh(public)
        secret = {"identity": private}
    await kube.create(SECRETS, stall.namespace, forged.forge.secret("signing", **secret))
    author = {"name": "Pointsman", "email": ADDRESS}
    good = await given(stall, kube, forged, author=author, signingSecretRef={"name": "signing"})
    forged.protect(enable_push_whitelist=False, require_signed_commits=True)
    await bad_version(stall)
    done = await settled(stall)
    assert forged.read(FILE) == good
    written = forged.api("GET", f"/git/commits/{done['lastRollback']['git']['commit']}")
    assert written["commit"]["verification"]["verified"]
    assert forged.pulls("all") == []
    assert not any(len(line) > 20 and line in stall.operator.log.read_text() for line in private.splitlines())


async def test_killed_between_any_two_writes_it_opens_one_pull_request(opens, kube, forged):
    async with opens(seed=4) as stall:
        await given(stall, kube, forged, write="PullRequest")
        await bad_version(stall)
        await settled(stall)
        assert len(forged.pulls("all")) == 1
        assert forged.subjects(forged.pulls()[0]["head"]["ref"])[1:] == forged.subjects()
        assert stall.operator.kills >= 3


async def test_the_commit_that_caused_a_release_shows_how_it_goes(stall, kube, forged):
    await kube.create(SECRETS, stall.namespace, forged.forge.secret())
    where = {"url": forged.url, "path": "apps", "secretRef": {"name": "shop-git"}, "forge": "Gitea"}
    wanted = release(weight(10), APPROVE, gitOrigin={**where, "report": "StatusAndComment"})
    first = forged.commit("version 1", {FILE: yaml.safe_dump(wanted)})
    await stall.given(wanted)
    set_version(wanted, "2")
    commit = forged.commit_by_pull_request("version 2", FILE, yaml.safe_dump(wanted))

    def shown(commit: str = commit) -> dict[str, str]:
        found = forged.api("GET", f"/commits/{commit}/status")["statuses"] or []
        return {one["context"]: f"{one['status']}: {one['description']}" for one in found}

    def offer(release):
        release["metadata"].setdefault("annotations", {})["pointsman.dev/commit"] = commit
        set_version(release, "2")

    await stall.edit(offer)
    waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    context = f"pointsman/{stall.namespace}/web"
    await until(lambda: shown().get(context) == "pending: 10 %, step 2 of 2, waits for a person")
    assert shown(first)[context] == "success: deployed"
    await stall.ask("abort", waiting["canaryRevision"])
    await stall.until_phase("RolledBack")
    await settled(stall)
    assert shown()[context].startswith("failure: rolled back, ")
    (pull,) = forged.pulls("all")
    (comment,) = forged.api("GET", f"/issues/{pull['number']}/comments")
    assert comment["user"]["login"] == ROBOT
    assert waiting["canaryRevision"] in comment["body"]


def api(forged: ForgeRepository, token: str | None = None) -> Api:
    credentials = Credentials(ROBOT, forged.forge.token if token is None else token, ca=forged.forge.certificate)
    return Api(Remote(forged.url, credentials), LOOPBACK.resolve)


@pytest.fixture
def proposed(forged):
    """A branch of `pointsman` with a commit that main lacks."""
    forged.commit("one", {"a.txt": "a\n"})
    forged.api(
        "POST", "/contents/b.txt", content="Yg==", branch="main", new_branch="pointsman/rollback-web-x", message="b"
    )
    return PullRequest("pointsman/rollback-web-x", "main", "Roll back web", "why\n\nand how")


async def test_a_pull_request_is_opened_once_and_again_when_it_was_closed(forged, proposed):
    url = await open_pull_request(api(forged), proposed)
    assert await open_pull_request(api(forged), proposed) == url
    (pull,) = forged.pulls()
    assert (pull["html_url"], pull["title"], pull["body"]) == (url, proposed.title, proposed.text)
    forged.api("PATCH", f"/pulls/{pull['number']}", state="closed")
    assert await open_pull_request(api(forged), proposed) != url


async def test_a_token_that_does_not_open_it_is_said_without_it(forged, proposed):
    with pytest.raises(GitError, match="answered 401") as caught:
        await open_pull_request(api(forged, "0123456789abcdef" * 2), proposed)
    assert "0123456789abcdef" not in str(caught.value)
