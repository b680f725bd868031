"""Jobs that test a version, against a real API server and Job controller; the kubelet is played."""

import asyncio
import itertools
import re
import time

import pytest
import yaml

from controller import registry
from controller.api.fields import Place, parse
from controller.api.job import job_name
from controller.api.resources import ANALYSIS_RUNS, JOBS, RELEASES, SERVICES, Resource
from controller.cli.viewing import explanation_of
from controller.rollout.steps.job import Job
from hack.install import CHECKOUT
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, weight
from tests.integration.step_jobs import a_running_pod, jobs, let_jobs, pods, smoke, until, until_nothing_is_left

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
PAGE = (CHECKOUT / "controller/docs/releasing.md").read_text()


def of_the_documents():
    """The strategy that the page shows."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (shown,) = [text for text in blocks if "- job:" in text]
    return yaml.safe_load(shown)["strategy"]


def is_waiting(word):
    return lambda status: status["phase"] == "Waiting" and word in status["message"]


def promoted(before):
    return lambda status: status["phase"] == "Healthy" and status["stableRevision"] != before["stableRevision"]


@pytest.fixture
async def tested(stall):
    """A version whose Job runs at 10 %."""
    let_jobs(stall, "ready")
    await stall.given(release(weight(10), smoke()))
    await stall.commit("2")
    await a_running_pod(stall)
    return stall


async def test_one_that_succeeds_goes_on_and_nothing_is_left(tested):
    before = await tested.status()
    (pod,) = await pods(tested)
    revision = before["canaryRevision"]
    env = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
    assert env == {
        "POINTSMAN_RELEASE": "web",
        "POINTSMAN_REVISION": revision,
        "POINTSMAN_STABLE_REVISION": before["stableRevision"],
        "POINTSMAN_SERVICE": f"web-{revision}.{tested.namespace}.svc",
        "POINTSMAN_PORT": "80",
    }
    assert (pod["spec"]["restartPolicy"], pod["spec"]["activeDeadlineSeconds"]) == ("Never", 600)
    for service in await tested.kube.list(SERVICES, tested.namespace):
        labels = pod["metadata"]["labels"]
        assert not (service["spec"]["selector"].items() <= labels.items()), "a Service would send it requests"
    let_jobs(tested, "succeed")
    await tested.until(promoted(before))
    await until_nothing_is_left(tested)
    done = await tested.until(lambda status: "owed" not in status)
    assert done["phase"] == "Healthy"


async def test_one_that_fails_rolls_back_and_nothing_is_left(tested):
    let_jobs(tested, "fail")
    back = await tested.until_phase("RolledBack")
    assert back["reason"] == "JobFailed"
    assert "ended with exit code 3" in back["message"]
    assert await tested.shares() == {back["stableRevision"]: 10000}
    await until_nothing_is_left(tested)
    (record,) = await tested.kube.list(ANALYSIS_RUNS, tested.namespace)
    exits = record["status"]["podEvidence"]["exits"]
    assert [(one["container"], one["exitCode"]) for one in exits] == [("smoke", 3)]
    explained = await explanation_of(tested.kube, tested.namespace, tested.name)
    assert any("container smoke: exit code 3" in line for line in explained.lines(time.time()))


async def test_one_that_never_ends_rolls_back_after_at_most(tested):
    let_jobs(tested, "late")
    back = await tested.until_phase("RolledBack")
    assert back["reason"] == "JobTimeout"
    assert "was still running after 600 s (the step's atMost)" in back["message"]
    await until_nothing_is_left(tested)


@pytest.mark.parametrize(("state", "phase"), [("succeed", "Healthy"), ("fail", "RolledBack")])
async def test_the_example_of_the_documents_judges_a_preview(stall, state, phase):
    strategy = of_the_documents()
    strategy["blueGreen"]["keepOld"] = "1s"
    let_jobs(stall, state)
    await stall.given(release(strategy=strategy))
    before = await stall.status()
    await stall.commit("2")
    done = await stall.until(
        lambda status: status["phase"] == phase and status.get("attempt", 0) > before.get("attempt", 0)
    )
    assert (done["stableRevision"] == before["stableRevision"]) == (phase == "RolledBack")
    await until_nothing_is_left(stall)


async def test_one_that_fails_once_is_tried_again(stall):
    let_jobs(stall, "fail")
    await stall.given(release(weight(10), smoke(retries=1)))
    before = await stall.status()
    await stall.commit("2")

    async def failed_once():
        return [pod for pod in await pods(stall) if pod.get("status", {}).get("phase") == "Failed"]

    await until(failed_once, "the first try fails")
    let_jobs(stall, "succeed")
    await stall.until(promoted(before))


async def test_an_image_that_is_missing_is_no_verdict_also_after_at_most(stall):
    let_jobs(stall, "pull")
    await stall.given(release(weight(10), smoke(atMost="1s")))
    before = await stall.status()
    await stall.commit("2")
    waiting = await stall.until(is_waiting("cannot start: container smoke: no such image (ImagePullBackOff)"))
    assert waiting["reason"] == "AwaitingJob"
    await stall.operator.looks(8)
    assert "rejected" not in await stall.status()
    let_jobs(stall, "succeed")
    await stall.until(promoted(before))


async def test_pods_without_a_node_are_no_verdict(stall):
    let_jobs(stall, "unschedulable")
    await stall.given(release(weight(10), smoke()))
    await stall.commit("2")
    await stall.until(is_waiting("cannot be scheduled: 0/1 nodes"))


async def test_a_pod_that_is_evicted_is_no_verdict_and_another_one_runs(tested):
    (before,) = await pods(tested)
    tested.node.behave = lambda pod: "evict" if pod["metadata"]["uid"] == before["metadata"]["uid"] else "ready"

    async def another():
        return [pod for pod in await pods(tested) if pod["metadata"]["uid"] != before["metadata"]["uid"]]

    await until(another, "another pod runs")
    let_jobs(tested, "succeed")
    await tested.until_phase("Healthy")


async def test_a_quota_for_jobs_is_no_verdict_and_says_so(stall):
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    await stall.kube.create(QUOTAS, stall.namespace, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})

    async def in_force():
        found = await stall.kube.get(QUOTAS, stall.namespace, "none")
        return "hard" in found.get("status", {})

    await until(in_force, "the quota is in force")
    let_jobs(stall, "succeed")
    await stall.given(release(weight(10), smoke()))
    before = await stall.status()
    await stall.commit("2")
    await stall.until(is_waiting("exceeded quota"))
    await stall.kube.delete(QUOTAS, stall.namespace, "none")
    await stall.until(promoted(before))


async def test_pods_that_admission_refuses_are_no_verdict_and_say_so(stall):
    """The Job is there, and its controller can make no pod."""
    step = smoke()
    step["job"]["template"]["spec"]["serviceAccountName"] = "missing"
    await stall.given(release(weight(10), step))
    await stall.commit("2")
    await stall.until(is_waiting('serviceaccount "missing" not found'))
    assert "rejected" not in await stall.status()


async def test_a_template_that_the_api_server_refuses_is_said(stall):
    step = smoke()
    step["job"]["template"]["spec"]["containers"][0]["comand"] = ["typo"]
    await stall.given(release(weight(10), step))
    await stall.commit("2")
    await stall.until(is_waiting('unknown field "spec.template.spec.containers[0].comand"'))


async def test_a_foreign_job_of_that_name_is_not_touched(stall):
    let_jobs(stall, "succeed")
    await stall.given(release(APPROVE, smoke()))
    await stall.commit("2")
    revision = (await stall.until_phase("Paused"))["canaryRevision"]
    step = parse(Job, smoke()["job"], Place("", registry.kinds()))
    name = job_name("web", f"job.{revision}.1.1.{step.digest}")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "theirs", "image": "theirs:1"}]}}
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}}
    made = await stall.kube.create(JOBS, stall.namespace, theirs)
    await stall.ask("approve", revision)
    waiting = await stall.until(is_waiting("belongs to something else"))
    assert name in waiting["message"]
    await stall.ask("abort", revision)
    await stall.until_phase("RolledBack")
    await stall.until(lambda status: "owed" not in status)
    assert (await stall.kube.get(JOBS, stall.namespace, name))["metadata"]["uid"] == made["metadata"]["uid"]


async def test_one_that_is_deleted_by_hand_runs_again(tested):
    (before,) = await jobs(tested)
    await tested.kube.delete(JOBS, tested.namespace, before["metadata"]["name"])

    async def another():
        return [job for job in await jobs(tested) if job["metadata"]["uid"] != before["metadata"]["uid"]]

    await until(another, "another Job is made")
    assert "rejected" not in await tested.status()
    let_jobs(tested, "succeed")
    await tested.until_phase("Healthy")


async def test_an_edited_step_is_another_job_and_the_one_before_goes(tested):
    (before,) = await jobs(tested)
    await tested.edit(
        lambda release: release["spec"]["strategy"]["canary"].update(steps=[weight(10), smoke(atMost="9m")])
    )

    async def replaced():
        found = await jobs(tested)
        return len(found) == 1 and found[0]["metadata"]["uid"] != before["metadata"]["uid"]

    await until(replaced, "there is one Job, another one")
    let_jobs(tested, "succeed")
    await tested.until_phase("Healthy")
    await until_nothing_is_left(tested)


async def test_abort_deletes_it_while_it_runs(tested):
    await tested.ask("abort", (await tested.status())["canaryRevision"])
    await tested.until_phase("RolledBack")
    await until_nothing_is_left(tested)


async def test_a_new_version_deletes_the_one_of_the_version_before(tested):
    (before,) = await jobs(tested)
    await tested.commit("3")

    async def replaced():
        found = [job["metadata"]["uid"] for job in await jobs(tested)]
        return found and before["metadata"]["uid"] not in found

    await until(replaced, "the Job of the new version alone is there")


@pytest.mark.parametrize("policy", ["Delete", "Orphan"])
async def test_a_release_that_is_deleted_takes_it_along(stall, policy):
    await stall.given(release(weight(10), smoke(), deletionPolicy=policy))
    await stall.commit("2")
    await a_running_pod(stall)
    await stall.kube.delete(RELEASES, stall.namespace, stall.name)
    await until_nothing_is_left(stall)


async def test_two_releases_test_at_once(kube, node, api_server, tmp_path):
    async with (
        Stall.open(kube, node, api_server, tmp_path / "a.log", name="a") as one,
        Stall.open(kube, node, api_server, tmp_path / "b.log", name="b") as two,
    ):
        both = (one, two)
        let_jobs(one, "ready")
        for stall in both:
            await stall.given(release(weight(10), smoke()))
        for stall in both:
            await stall.commit("2")
        for stall in both:
            await a_running_pod(stall)
        names = {stall.name: (await jobs(stall))[0]["metadata"]["name"] for stall in both}
        node.behave = lambda pod: {
            names["a"]: "succeed", names["b"]: "fail",
        }.get(pod["metadata"]["labels"].get("batch.kubernetes.io/job-name"), "ready")  # fmt: skip
        await two.until_phase("RolledBack")
        await one.until_phase("Healthy")
        for stall in both:
            await until_nothing_is_left(stall)


async def test_an_operator_killed_between_any_two_writes_makes_one_job(kube, node, api_server, tmp_path):
    async def life(seed):
        name = f"web{seed}"
        seen: set[str] = set()
        async with Stall.open(kube, node, api_server, tmp_path / f"{name}.log", name=name, seed=seed) as stall:

            async def look():
                seen.update(job["metadata"]["uid"] for job in await jobs(stall))

            stall.operator.between = look
            let_jobs(stall, "succeed")
            await stall.given(release(weight(10), smoke(), drain={"quiet": "0s"}))
            before = await stall.status()
            await stall.commit("2")
            done = await stall.until(promoted(before))
            assert await stall.shares() == {done["stableRevision"]: 10000}
            await until_nothing_is_left(stall)
            assert len(seen) <= 1
            return stall.operator.kills

    async with asyncio.TaskGroup() as group:  # they wait more than they work
        lives = [group.create_task(life(seed)) for seed in range(3)]
    assert sum(one.result() for one in lives) >= 6


async def test_who_leads_next_finds_the_job_that_was_made(kube, node, api_server, tmp_path):
    """The operator dies once the Job is there, and before the status knows more."""
    lives = itertools.count()

    def life():
        return Stall.open(kube, node, api_server, tmp_path / f"{next(lives)}.log")

    async with life() as stall:
        let_jobs(stall, "ready")
        await stall.given(release(weight(10), smoke()))
        before = await stall.status()
        await stall.commit("2")
        await a_running_pod(stall)
        (made,) = await jobs(stall)
    async with life() as stall:
        await stall.operator.looks(6)
        assert [job["metadata"]["uid"] for job in await jobs(stall)] == [made["metadata"]["uid"]]
        let_jobs(stall, "succeed")
        await stall.until(promoted(before))
