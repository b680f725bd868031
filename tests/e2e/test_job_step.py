"""A Job judges a version in its preview, on real pods: a good one passes, a bad one never gets anybody's request."""

from controller.api.names import JOB_LABEL
from controller.api.resources import JOBS, PODS
from tests.e2e.patience import until
from tests.e2e.shop import NOT_JUDGED, SHORT_DRAIN

SMOKE = """
import os, sys, urllib.request

url = f"http://{os.environ['POINTSMAN_SERVICE']}:{os.environ['POINTSMAN_PORT']}/"
failed = 0
for _ in range(100):
    try:
        urllib.request.urlopen(url, timeout=5).read()
    except OSError as error:
        failed, last = failed + 1, error
print("token=sesame")
print(f"{failed} of 100 requests failed{f', the last one: {last}' if failed else ''}", flush=True)
sys.exit(failed > 20)
"""


HANGS = "import time; print('still waiting for an answer', flush=True); time.sleep(600)"


def job(image="localhost/subject:dev", does=SMOKE, most="2m"):
    container = {
        "name": "smoke",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", does],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"job": {"atMost": most, "template": {"spec": {"securityContext": security, "containers": [container]}}}}


async def nothing_is_left(shop):
    async def nothing():
        labels = f"{JOB_LABEL}={shop.name}"
        return not [item for kind in (JOBS, PODS) for item in await shop.kube.list(kind, shop.namespace, labels=labels)]

    await until(nothing, "no Job and no pod of one is left")


async def test_a_good_version_passes_its_job_and_a_bad_one_is_found_before_anybody_meets_it(shop, measured):
    strategy = {"blueGreen": {"previewReplicas": 1, "steps": [job()], "keepOld": "3s"}}
    first = await shop.given(strategy=strategy, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    async with shop.load(rate=50, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        done = await shop.until(lambda status: status["phase"] == "Healthy" and status["stableRevision"] != first)
        second = done["stableRevision"]
        await nothing_is_left(shop)
        await shop.commit(VERSION="3", ERROR_RATE="0.6")
        back = await shop.until_phase("RolledBack", seconds=120)
        third = back["lastRollback"]["revision"]
        measured("message", back["message"])
        await nothing_is_left(shop)
        counted = await load.stop()
    assert back["reason"] == "JobFailed"
    assert "ended with exit code 1" in back["message"]
    assert "of 100 requests failed" in back["message"]
    assert "sesame" not in back["message"]
    assert third not in counted.revisions, "nobody but the Job has met it"
    assert second in counted.revisions
    assert counted.failed == 0
    explained = await shop.pointsman("explain", shop.name)
    assert "container smoke" in explained.text
    assert "of 100 requests failed" in explained.text
    assert "sesame" not in explained.text


async def test_a_job_whose_image_is_missing_says_nothing_about_the_version(shop):
    strategy = {"blueGreen": {"previewReplicas": 1, "steps": [job("localhost/missing:1")], "keepOld": "3s"}}
    first = await shop.given(strategy=strategy, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    await shop.commit(VERSION="2")
    waiting = await shop.until(lambda status: status["phase"] == "Waiting" and "cannot start" in status["message"])
    assert (waiting["reason"], waiting["stableRevision"]) == ("AwaitingJob", first)
    assert "localhost/missing:1" in waiting["message"]
    await shop.edit(lambda release: release["spec"]["strategy"]["blueGreen"].update(steps=[job()]))
    await shop.until(lambda status: status["phase"] == "Healthy" and status["stableRevision"] != first, seconds=120)
    await nothing_is_left(shop)


async def test_a_job_that_never_ends_is_ended_after_at_most_and_its_last_lines_are_told(shop):
    strategy = {"blueGreen": {"previewReplicas": 1, "steps": [job(does=HANGS, most="5s")], "keepOld": "3s"}}
    first = await shop.given(strategy=strategy, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    await shop.commit(VERSION="2")
    back = await shop.until_phase("RolledBack", seconds=120)
    assert (back["reason"], back["stableRevision"]) == ("JobTimeout", first)
    assert "still waiting for an answer" in back["message"]
    await nothing_is_left(shop)
