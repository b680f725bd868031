"""What the operator reads of a rejected version's pods with the role that is shipped, and without its newest rights."""

import copy

import pytest
import yaml

from controller import registry
from controller.analysis.runs import RunStore
from controller.api.effect import Effect
from controller.api.fields import Place, parse
from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import ANALYSIS_RUNS, EVENTS, JOBS, PODS, RELEASES
from controller.effects.carrier import EffectContext
from controller.effects.job import JobCarrier
from controller.effects.job_deletion import JobDeletion
from controller.effects.pod_evidence import EXAMPLE, KIND, PodEvidence
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from controller.rollout.steps.job import Job
from tests.integration.operator_fixture import APPROVE, release
from tests.integration.rights_fixture import INSTALL, KINDS, bind, connected, control_plane

SHIPPED, LESS = "pointsman-operator", "pointsman-operator-without"
CANARY = EXAMPLE["revision"]
SMOKE = {"job": {"template": {"spec": {"containers": [{"name": "smoke", "image": "smoke:1"}]}}}}
POD = f"web-{CANARY}-x"


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path / "rights") as running:
        yield running


@pytest.fixture
async def plane_with_a_pod(plane):
    """Of version CANARY, with one Warning event. Users `ships` and `less` have either role."""
    async with connected(plane, "admin", group="system:masters") as admin:
        documents = yaml.safe_load_all((INSTALL / "roles-operator.yaml").read_text())
        (role,) = [document for document in documents if document["kind"] == "ClusterRole"]
        less = copy.deepcopy(role)
        less["metadata"]["name"] = LESS
        newest = (["pods/log"], ["jobs"])
        less["rules"] = [rule for rule in role["rules"] if rule["resources"] not in newest and not reads_events(rule)]
        for body in (role, less):
            await admin.create(KINDS["ClusterRole"], None, body)
        await bind(admin, {"ships": [SHIPPED], "less": [LESS]})
        await admin.create(RELEASES, "default", release(APPROVE, SMOKE))
        labels = {RELEASE_LABEL: "web", REVISION_LABEL: CANARY}
        spec = {"containers": [{"name": "web", "image": "web:1"}], "automountServiceAccountToken": False}
        await admin.create(PODS, "default", {"metadata": {"name": POD, "labels": labels}, "spec": spec})
        running = {"name": "web", "image": "web:1", "imageID": "", "ready": True, "restartCount": 0}
        status = {"status": {"containerStatuses": [running | {"state": {"running": {}}}]}}
        await admin.patch(PODS, "default", POD, status, "status")
        about = {"kind": "Pod", "name": POD, "namespace": "default"}
        event = {"metadata": {"name": f"{POD}.1"}, "involvedObject": about, "type": "Warning", "reason": "BackOff"}
        await admin.create(EVENTS, "default", event)
        yield plane


def reads_events(rule):
    return rule["resources"] == ["events"] and "list" in rule["verbs"]


async def no_api_server():
    return frozenset()


async def kept_by(plane, user, attempt):
    async with connected(plane, user) as kube:
        carrier = PodEvidence(EffectContext(kube, Addresses(no_api_server), records=RunStore(kube)))
        await carrier.carry_out(Key("default", "web"), Effect("x", KIND, {**EXAMPLE, "attempt": attempt}))
        run = await kube.get(ANALYSIS_RUNS, "default", f"web-{CANARY}-{attempt}")
    assert run["metadata"]["ownerReferences"][0]["name"] == "web"
    return run["status"]["podEvidence"]


async def test_the_shipped_role_reads_all_of_it_and_one_with_less_the_rest(plane_with_a_pod):
    """The pod is on no node, so its log is empty; who may not read it does not see that."""
    kept = await kept_by(plane_with_a_pod, "ships", 1)
    assert [event["reason"] for event in kept["events"]] == ["BackOff"]
    assert kept["notKept"] == [f"the log of {POD}, container web: it is empty"]
    kept = await kept_by(plane_with_a_pod, "less", 2)
    assert "events" not in kept
    assert kept["notKept"] == [
        "logs: the operator may not read them (get pods/log)",
        "events: the operator may not read them (list events)",
    ]
    assert kept["pods"] == 1


async def test_the_shipped_role_makes_a_job_and_deletes_it_and_one_without_it_is_named(plane_with_a_pod):
    digest = parse(Job, SMOKE["job"], Place("", registry.kinds())).digest
    payload = {"canaryRevision": CANARY, "attempt": 1, "step": 1, "digest": digest}
    made = Effect(f"job.{CANARY}.1.1.{digest}", "job", payload)
    async with connected(plane_with_a_pod, "less") as kube:
        found = await JobCarrier(EffectContext(kube, Addresses(no_api_server))).carry_out(Key("default", "web"), made)
        assert found.value["state"] == "blocked"
        assert 'cannot get resource "jobs"' in found.value["message"]
    async with connected(plane_with_a_pod, "ships") as kube:
        context = EffectContext(kube, Addresses(no_api_server))
        found = await JobCarrier(context).carry_out(Key("default", "web"), made)
        assert found.value["state"] == "starting"
        gone = Effect("x", "jobDeletion", {"job": made.id})
        await JobDeletion(context).carry_out(Key("default", "web"), gone)
    async with connected(plane_with_a_pod, "admin", group="system:masters") as admin:
        jobs = await admin.list(JOBS, "default")
    assert all("deletionTimestamp" in job["metadata"] for job in jobs)
