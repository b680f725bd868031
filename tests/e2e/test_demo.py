"""The demos' stories, told on the real cluster: both at once, one of them on a real forge, whose branch is protected in
the middle of it; and one with an operator that keeps on dying.
"""

import asyncio
import os
import re
import time
from functools import partial

import pytest

from controller.api.resources import RELEASE_REPOSITORIES
from hack.demonstration import following, invitations, worker_story
from hack.demonstration.forge import protected
from hack.demonstration.git_server import serving
from hack.demonstration.repository import Repository
from hack.demonstration.service_story import FAILING, GOOD, NAME, NAMESPACE, SLOW, ServiceStory
from hack.demonstration.worker_story import WorkerStory
from hack.install import Kubectl
from tests.e2e.shop import Shop
from tests.panels import panels_of, scraped

_SEED = int(os.environ.get("E2E_SEED", "20"))
"""Of the moments at which the operator is killed."""
_WITHOUT_ROWS = {
    ("fleet", "Waiting for something, or for somebody"): "no version waits for anything but room, if that",
    ("fleet", "Rolled back, or refused"): "git may have taken a version back before its last pods are gone",
    ("release", "Latency: units slower than each threshold"): "its latency has one threshold, among the bad units",
}
"""Panels that the story on Gitea need not fill, and why."""
_SOON_S = 5.0
"""A switch, on a machine that runs other tests; the benchmark asks for 2."""


@pytest.fixture
def told():
    """What the story says, line by line."""
    return []


@pytest.fixture
async def story_of(cluster, tmp_path, told):
    """Of the invitation API, with these versions."""

    def story(*versions, host=serving):
        return ServiceStory(cluster, Repository(tmp_path / "git", invitations.FOLDER, host=host), told.append, versions)

    yield story
    await forget(cluster, NAMESPACE, NAME)


@pytest.fixture
def story_on_gitea(cluster, story_of):
    """Version 3 is still pushed, and so is its rollback; version 4 comes by a pull request."""
    return partial(story_of, host=partial(protected, address=cluster.address, pushes=3))


@pytest.fixture
async def story_of_workers(cluster, tmp_path):
    repository = Repository(tmp_path / "git-of-workers", worker_story.FOLDER)
    yield WorkerStory(cluster, repository, lambda _: None)
    await forget(cluster, worker_story.NAMESPACE, worker_story.NAME)


async def forget(cluster, namespace, name):
    await asyncio.to_thread(
        Kubectl(cluster), "delete", "release", name, f"--namespace={namespace}", "--ignore-not-found"
    )


@pytest.fixture
async def panels(cluster, operator_pod):
    """Of the invitation API's Release, and of the operator, from now on."""
    with scraped(cluster.influx, await operator_pod.metrics_url()):
        async with panels_of(cluster.influx, namespace=NAMESPACE, release=NAME) as found:
            yield found


@pytest.fixture
def demo_shop(cluster, kube):
    return Shop(cluster, kube, NAMESPACE, NAME)


@pytest.mark.timeout(600)  # both stories at once, beside another test: on two busy cores 300 s were too few
async def test_good_versions_are_promoted_and_bad_ones_rolled_back_of_a_service_on_gitea_and_of_workers(
    demo_shop, story_on_gitea, story_of_workers, told, panels, measured, tmp_path
):
    """I34"""
    began = time.monotonic()
    story = story_on_gitea(GOOD, FAILING, SLOW)
    summary, of_workers = await asyncio.gather(story.tell(), story_of_workers.tell())
    measured("took_s", round(time.monotonic() - began, 1))
    measured("summary", summary)
    measured("of_workers", of_workers)
    no_job_is_lost(of_workers)
    workers = Shop(demo_shop.cluster, demo_shop.kube, worker_story.NAMESPACE, worker_story.NAME)
    listed = await workers.kubectl("get", "release", worker_story.NAME, "--no-headers")
    assert re.match(r"image-worker +Healthy ", listed.text), "git asks for what runs, and so the cluster has it"
    no_invitation_is_lost(summary)
    assert weights(told, of="version 2") == [10, 50]
    assert weights(told, of="version 3") == [10]
    assert weights(told, of="version 4") == [10]
    explained = await demo_shop.pointsman("explain", NAME)
    waited = await demo_shop.pointsman("wait", NAME)
    listed = await demo_shop.kubectl("get", "release", NAME, "--no-headers")
    last = summary.releases[-1]
    assert explained.code == 0
    assert "Healthy (" in explained.text
    assert f"last rollback: {last.revision} " in explained.text
    assert last.evidence in explained.text
    commit = await followed(demo_shop.kube)
    assert commit.startswith(summary.history[0].partition(" ")[0])
    assert f"commit  {commit}" in explained.text, "what the cluster has is named"
    assert waited.code == 0
    assert re.match(r"invitations +Healthy ", listed.text), listed.text
    assert is_rolled_back(told, of="version 3", by=(" by Pointsman: Roll back ",))
    assert is_rolled_back(told, of="version 4", by=("pull request by Pointsman: https://", "a developer merges it"))
    is_on_gitea(summary)
    await judged_again(demo_shop, summary.releases[-1].evidence, tmp_path)
    await panels.until_rows(but=_WITHOUT_ROWS, seconds=60)
    shown = [row["message"] for row in panels.rows["release", "Steps, verdicts, what people asked for"]]
    assert any(last.evidence in message for message in shown), "a board says what the operator saw"


def no_job_is_lost(summary):
    good, failing, slow = summary.releases
    assert (good.done, failing.done, slow.done) == (True, True, True)
    assert failing.evidence.startswith("failures:")
    assert slow.evidence.startswith("duration:")
    assert summary.completed == summary.jobs > 100
    assert (summary.lost, summary.made_twice, summary.dead_lettered) == (0, 0, 0)
    assert all(0 < count < summary.jobs / 10 for count in summary.touched.values())
    is_in_git(summary)


def no_invitation_is_lost(summary):
    good, failing, slow = summary.releases
    assert (good.done, failing.done, slow.done) == (True, True, True)
    assert failing.evidence.startswith("errors:")
    assert slow.evidence.startswith("latency:")
    of_failing, of_slow = summary.exposures
    assert of_failing.failed > 0
    assert of_slow.failed == 0, "it was slow, and nothing else"
    assert max(of_failing.seconds, of_slow.seconds) < 30
    assert summary.failed_on_good_versions == 0
    assert summary.invited == summary.requests - of_failing.failed
    assert (summary.lost, summary.sent_twice) == (0, 0)


def is_on_gitea(summary):
    """What it shows beside each commit, and how the two rollbacks came to the branch: by a push, and by a merge."""
    good, failing, slow = summary.releases
    ours = [line.partition(" ")[0] for line in summary.history if " Pointsman: Roll back " in line]
    assert len(ours) == 2
    assert failing.taken_back.startswith(ours[-1])
    assert slow.taken_back == "https://git.friends/ana/shop/pulls/2", "the first one is that of version 4"
    assert " Merge pull request 'Roll back friends/invitations to " in summary.history[0]
    assert good.shown.status == "success: promoted"
    assert re.fullmatch(r"failure: rolled back, errors \d+/\d+ vs \d+/\d+ \(p .+\)", failing.shown.status)
    assert re.fullmatch(r"failure: rolled back, latency \d+/\d+ vs \d+/\d+ \(p .+\)", slow.shown.status)
    assert (good.shown.comment, failing.shown.comment) == (None, None), "Gitea has comments on pull requests alone"
    assert slow.revision in slow.shown.comment
    assert slow.evidence in slow.shown.comment


def is_in_git(summary):
    """Each bad version was taken back there, once, before the next one was pushed."""
    bad = [each for each in summary.releases if not each.good]
    assert all(each.taken_back for each in bad)
    ours = [line.partition(" ")[0] for line in summary.history if " Pointsman: Roll back " in line]
    assert [each.taken_back.startswith(one) for each, one in zip(reversed(bad), ours, strict=True)] == [True] * len(bad)


def is_rolled_back(told, *, of, by):
    """Its work goes first, then git, and what git has then is applied, and is no release."""
    rest = iter(told[next(index for index, line in enumerate(told) if "git push" in line and of in line) :])
    return all(
        any(what in line for line in rest)  # each is looked for behind the one before
        for what in ("RollingBack (Regressed)", *by, "pointsman sync applied", "Healthy (")
    )


async def followed(kube):
    """The last commit that is applied; all of it, and suspended since the server has ended with the story."""
    status = (await kube.get(RELEASE_REPOSITORIES, NAMESPACE, following.NAME))["status"]
    (ready,) = (one for one in status["conditions"] if one["type"] == "Ready")
    assert status["failed"] == 0
    assert (ready["status"], ready["reason"]) == ("True", "Suspended")
    return str(status["appliedCommit"])


async def judged_again(shop, evidence, folder):
    """The record of the bad version, judged again by whoever has it, convicts in the same look by the same counts."""
    runs = (await shop.kubectl("get", "analysisruns", "--sort-by=.spec.attempt", "--output=name")).text.split()
    *looks, verdict = await shop.replay(runs[-1].rpartition("/")[2], folder / "run.json")
    assert verdict["release"] == "regression"
    assert evidence.endswith(f"(look {verdict['look']})")
    metric, bad = evidence.partition(":")[0], int(evidence.split()[1])
    last = next(look for look in looks if look["look"] == verdict["look"] and look["metric"] == metric)
    assert (last["s"], last["verdict"]) == (bad, "regression")


@pytest.mark.alone  # both demos have the same namespaces
@pytest.mark.timeout(600)
async def test_versions_are_switched_found_in_preview_and_switched_back_of_a_service_and_of_workers(
    cluster, demo_shop, told, measured, tmp_path
):
    began = time.monotonic()
    story = ServiceStory.of_switches(cluster, tmp_path / "git", told.append)
    workers = WorkerStory.of_switches(cluster, tmp_path / "git-of-workers", lambda _: None)
    try:
        summary, of_workers = await asyncio.gather(story.tell(), workers.tell())
        measured("took_s", round(time.monotonic() - began, 1))
        measured("summary", summary)
        measured("of_workers", of_workers)
        assert [each.done for each in summary.releases] == [each.done for each in of_workers.releases] == [True] * 3
        found, returned = summary.exposures
        assert (found.answers, found.failed) == (0, 0), "nobody but the pipeline has met it"
        assert returned.failed > 0
        assert returned.seconds < 30
        assert summary.failed_on_good_versions == 0
        assert (summary.lost, summary.sent_twice) == (0, 0)
        assert_soon(summary)
        is_in_git(summary)
        is_in_git(of_workers)
        assert "of 50 requests failed" in summary.releases[1].evidence, "as the Job said"
        assert not any("anary 1" in line for line in told), "where all moves at once there is no canary"
        of_found, of_returned = of_workers.touched.values()
        assert of_found == 0 < of_returned
        assert (of_workers.lost, of_workers.made_twice) == (0, 0)
        assert of_workers.completed + of_workers.dead_lettered == of_workers.jobs > 100
        assert_soon(of_workers)
        listed = await demo_shop.kubectl("get", "release", NAME, "--no-headers")
        assert re.match(r"invitations +Healthy ", listed.text)
    finally:
        await forget(cluster, NAMESPACE, NAME)
        await forget(cluster, worker_story.NAMESPACE, worker_story.NAME)


def assert_soon(summary):
    assert 0 <= summary.switch_s < _SOON_S
    assert 0 <= summary.return_s < _SOON_S


@pytest.mark.alone
@pytest.mark.timeout(450)  # the Lease of each that dies stands for 15 s: about 180 s in all, on two busy cores 240
async def test_killing_the_operator_at_any_moment_ends_the_same(demo_shop, operator_pod, story_of, told, measured):
    began = time.monotonic()

    def moment() -> str:
        return f"{time.monotonic() - began:.1f} s: {told[-1].strip() if told else 'nothing yet'}"

    async with operator_pod.dying_again_and_again(_SEED, moment) as deaths:
        summary = await story_of(GOOD, FAILING).tell()
    measured("deaths", deaths)
    measured("summary", summary)
    assert len(deaths) >= 4
    is_in_git(summary)
    assert [each.done for each in summary.releases] == [True, True]
    assert summary.exposures[0].failed > 0
    assert summary.failed_on_good_versions == 0
    assert (summary.lost, summary.sent_twice) == (0, 0)
    status = await demo_shop.until_phase("Healthy")
    assert await demo_shop.shares() == {status["stableRevision"]: 10_000}
    await demo_shop.until_gone(status["lastRollback"]["revision"])


def weights(told: list[str], *, of: str) -> list[int]:
    """Percent that the canary had, one after the other, from the commit of a version to the end of its release."""
    first = next(index for index, line in enumerate(told) if "git push" in line and of in line)
    last = next(index for index, line in enumerate(told) if f"{of} is" in line)
    seen = [int(found[1]) for line in told[first:last] if (found := re.search(r"canary (\d+) %", line))]
    return [share for index, share in enumerate(seen) if share and seen[index - 1 : index] != [share]]
