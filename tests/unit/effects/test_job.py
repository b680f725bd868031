"""The carrier of a step's Job: what it makes, what it says, and what it does when the API server refuses."""

import copy

import pytest

from controller import registry
from controller.api.effect import Effect
from controller.api.fields import Place, parse
from controller.api.names import JOB_LABEL, REVISION_LABEL
from controller.api.resources import EVENTS, JOBS
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError
from controller.effects.job import JobCarrier
from controller.effects.job_deletion import JobDeletion
from controller.kube.client import ConflictError, InvalidError, UnavailableError
from controller.outward.addresses import Addresses
from controller.rollout.steps.job import Job
from tests.unit.effects.calling import no_api_server
from tests.unit.effects.job_cluster import EFFECT, FORBIDDEN, NAME, SHOP, STEP, Cluster
from tests.unit.effects.test_job_state import START, exited, pod, waits
from tests.unit.effects.test_pod_evidence import HANGS


async def ask(cluster, effect=EFFECT):
    context = EffectContext(cluster, Addresses(no_api_server), lambda: cluster.now)
    return await JobCarrier(context).carry_out(SHOP, effect)


async def test_it_is_made_as_the_spec_says_and_only_once():
    cluster = Cluster()
    first = await ask(cluster)
    assert first.value == {"job": NAME, "state": "starting", "message": ""}
    assert first.again_in == 1.0
    assert await ask(cluster) == first
    (made,) = cluster.created
    assert made["metadata"]["name"] == NAME
    assert made["metadata"]["labels"][JOB_LABEL] == "shop"
    assert made["metadata"]["labels"][REVISION_LABEL] == "bbbbbbbbbb"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u1"
    spec = made["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (2, 86_400)
    template = spec["template"]
    assert template["metadata"]["labels"] == {"team": "a", JOB_LABEL: "shop"}
    assert (template["spec"]["restartPolicy"], template["spec"]["activeDeadlineSeconds"]) == ("Never", 91)
    (first_container,), (smoke,) = template["spec"]["initContainers"], template["spec"]["containers"]
    assert smoke["env"][-1] == {"name": "MODE", "value": "fast"}
    assert smoke["env"][:-1] == first_container["env"]
    assert {one["name"]: one["value"] for one in first_container["env"]} == {
        "POINTSMAN_RELEASE": "shop",
        "POINTSMAN_REVISION": "bbbbbbbbbb",
        "POINTSMAN_STABLE_REVISION": "aaaaaaaaaa",
        "POINTSMAN_SERVICE": "shop-bbbbbbbbbb.qa.svc",
        "POINTSMAN_PORT": "80",
        "POINTSMAN_PORT_HTTP": "80",
        "POINTSMAN_PORT_ADMIN_API": "9090",
    }


async def test_a_version_that_nobody_calls_has_no_port():
    cluster = Cluster(ports=())
    await ask(cluster)
    names = [one["name"] for one in cluster.created[0]["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert "POINTSMAN_PORT" not in names


async def test_a_shorter_deadline_of_the_users_own_stays():
    cluster = Cluster()
    step = cluster.release["spec"]["strategy"]["canary"]["steps"][1] = copy.deepcopy(STEP)
    step["job"]["template"]["spec"]["activeDeadlineSeconds"] = 30
    digest = parse(Job, step["job"], Place("", registry.kinds())).digest
    await ask(cluster, Effect(EFFECT.id, "job", {**EFFECT.payload, "digest": digest}))
    assert cluster.created[0]["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 30


async def test_a_step_that_was_edited_is_not_made():
    cluster = Cluster()
    cluster.release["spec"]["strategy"]["canary"]["steps"][1] = {"job": {**STEP["job"], "retries": 1}}
    with pytest.raises(EffectRefusedError, match="the spec has this job no longer"):
        await ask(cluster)
    assert cluster.created == []


async def test_without_its_release_nothing_is_made():
    cluster = Cluster()
    cluster.release = None
    with pytest.raises(EffectRefusedError, match="gone"):
        await ask(cluster)


async def test_a_refusal_is_no_verdict_and_is_asked_again():
    cluster = Cluster()
    cluster.refusal = FORBIDDEN
    found = await ask(cluster)
    assert found.value["state"] == "blocked"
    assert found.value["message"] == f"cannot be made: {FORBIDDEN}"
    assert found.again_in == 15.0


async def test_a_role_of_before_is_no_verdict_and_says_what_it_lacks(monkeypatch):
    cluster = Cluster()

    async def find(resource, namespace, name, before=cluster.find):
        if resource == JOBS:
            raise FORBIDDEN
        return await before(resource, namespace, name)

    monkeypatch.setattr(cluster, "find", find)
    found = await ask(cluster)
    assert (found.value["state"], found.again_in) == ("blocked", 15.0)
    assert found.value["message"].startswith("cannot be watched: jobs.batch is forbidden")


async def test_without_the_right_to_read_events_a_start_is_still_waited_for(monkeypatch):
    cluster = Cluster()
    await ask(cluster)
    cluster.now += 11

    async def first_page(resource, namespace, before=cluster.first_page, **options):
        if resource == EVENTS:
            raise FORBIDDEN
        return await before(resource, namespace, **options)

    monkeypatch.setattr(cluster, "first_page", first_page)
    assert (await ask(cluster)).value["state"] == "starting"


async def test_an_api_server_that_is_away_is_tried_again():
    cluster = Cluster()
    cluster.refusal = UnavailableError(503, "", "etcd has no leader", retry_after=7)
    with pytest.raises(EffectFailedError, match="etcd has no leader") as error:
        await ask(cluster)
    assert error.value.retry_after == 7


async def test_one_whose_creation_was_not_heard_of_is_found(monkeypatch):
    cluster = Cluster()
    await ask(cluster)
    made, cluster.job = cluster.job, None
    cluster.refusal = ConflictError(409, "AlreadyExists", "exists")

    async def finds(resource, namespace, name, find=cluster.find):
        found = await find(resource, namespace, name)
        if resource == JOBS:
            cluster.job = made  # from now on
        return found

    monkeypatch.setattr(cluster, "find", finds)
    assert (await ask(cluster)).value["state"] == "starting"


async def test_one_of_somebody_else_is_left_alone():
    cluster = Cluster()
    await ask(cluster)
    cluster.job["metadata"]["labels"] = {}
    found = await ask(cluster)
    assert (found.value["state"], cluster.deleted) == ("blocked", [])
    assert "belongs to something else" in found.value["message"]


async def test_one_of_an_earlier_release_of_that_name_is_no_answer_for_this_one():
    cluster = Cluster()
    await ask(cluster)
    cluster.is_over("Complete")
    cluster.release["metadata"]["uid"] = "u2"
    with pytest.raises(EffectFailedError, match="of before is being deleted"):
        await ask(cluster)
    assert cluster.deleted == [NAME]
    assert (await ask(cluster)).value["state"] == "starting"


async def test_one_that_is_being_deleted_is_no_answer():
    cluster = Cluster()
    await ask(cluster)
    cluster.job["metadata"]["deletionTimestamp"] = "now"
    with pytest.raises(EffectFailedError):
        await ask(cluster)
    assert cluster.deleted == []


async def test_success_is_said_once():
    cluster = Cluster()
    await ask(cluster)
    cluster.is_over("Complete")
    found = await ask(cluster)
    assert (found.value["state"], found.again_in) == ("succeeded", None)


async def failed(logs, *pods):
    cluster = Cluster(*(pods or [pod(exited(3), made=str(number)) for number in range(3)]))
    await ask(cluster)
    cluster.is_over("Failed")
    cluster.logs = logs
    return await ask(cluster)


async def test_a_failure_says_its_exit_code_and_its_last_lines_without_what_is_secret():
    found = await failed(b"GET /\npassword=sesame\nexpected 200, was 500\n")
    assert (found.value["state"], found.again_in) == ("failed", None)
    assert found.value["message"] == (
        "container smoke of web-job-2 ended with exit code 3; it said: "
        "GET / / password=[masked] / expected 200, was 500"
    )


@pytest.mark.parametrize(
    ("logs", "end"),
    [
        (b"", ", and said nothing"),
        (b"x" * 10_000_000, "x"),
        (InvalidError(403, "Forbidden", "no right"), "; its log cannot be read: no right"),
    ],
)
async def test_a_failure_does_not_depend_on_its_log(logs, end):
    found = await failed(logs)
    assert found.value["message"].endswith(end)
    assert len(found.value["message"]) < 1500


async def test_a_node_that_does_not_answer_costs_seconds(monkeypatch):
    monkeypatch.setattr("controller.effects.job._LOG_S", 0.1)
    found = await failed(HANGS)
    assert found.value["message"].endswith("its log cannot be read: no answer within 0.1 s")


async def test_one_that_says_nothing_about_the_version_is_deleted_and_made_anew():
    cluster = Cluster(pod(reason="Evicted"))
    await ask(cluster)
    cluster.is_over("Failed")
    found = await ask(cluster)
    assert (found.value["state"], found.again_in) == ("blocked", 15.0)
    assert cluster.deleted == [NAME]
    cluster.pods = []
    assert (await ask(cluster)).value["state"] == "starting"
    assert len(cluster.created) == 2


@pytest.mark.parametrize("of", ["job-1", "pod-1"])
async def test_a_start_that_takes_long_says_what_is_warned_of(of):
    waiting = pod(START, phase="Pending")
    waiting["metadata"]["uid"] = "pod-1"
    cluster = Cluster(waiting)
    cluster.events = [{"uid": of, "message": 'secret "db" not found', "lastTimestamp": "1"}]
    assert (await ask(cluster)).value["state"] == "starting"
    cluster.now += 11
    found = await ask(cluster)
    assert (found.value["state"], found.value["message"]) == ("blocked", 'cannot start: secret "db" not found')


async def test_a_start_of_a_minute_without_a_word_is_said():
    cluster = Cluster()
    await ask(cluster)
    cluster.now += 59
    assert (await ask(cluster)).value["state"] == "starting"
    cluster.now += 2
    assert (await ask(cluster)).value["state"] == "blocked"


@pytest.mark.parametrize(("age", "pause"), [(0, 1), (50, 5), (3600, 10), (-30, 1)])
async def test_a_short_test_is_looked_at_often_and_a_long_one_seldom(age, pause):
    cluster = Cluster(pod(waits("ErrImagePull", "no"), phase="Pending"))
    cluster.now += age
    assert (await ask(cluster)).again_in == pause


# -- its deletion ----------------------------------------------------------------------------------------------------


async def delete(cluster):
    effect = Effect("x", "jobDeletion", {"job": EFFECT.id})
    return await JobDeletion(EffectContext(cluster, Addresses(no_api_server))).carry_out(SHOP, effect)


async def test_a_step_that_is_over_takes_its_job_along():
    cluster = Cluster()
    await ask(cluster)
    await delete(cluster)
    assert cluster.deleted == [NAME]


async def test_one_that_is_gone_or_somebody_elses_is_no_trouble(monkeypatch):
    monkeypatch.setattr("controller.effects.job_deletion._ON_ITS_WAY_S", 0.01)
    cluster = Cluster()
    await delete(cluster)
    await ask(cluster)
    cluster.job["metadata"]["labels"] = {}
    await delete(cluster)
    assert cluster.deleted == []


async def test_one_that_was_asked_for_a_moment_ago_is_waited_for(monkeypatch):
    """The step was over while the API server still worked on the creation."""
    monkeypatch.setattr("controller.effects.job_deletion._ON_ITS_WAY_S", 0.01)
    cluster = Cluster()
    await ask(cluster)
    made, cluster.job = cluster.job, None

    async def finds(resource, namespace, name):
        found, cluster.job = cluster.job, made
        return found

    monkeypatch.setattr(cluster, "find", finds)
    await delete(cluster)
    assert cluster.deleted == [NAME]


async def test_a_right_that_is_missing_is_said(monkeypatch):
    cluster = Cluster()

    async def find(resource, namespace, name):
        raise FORBIDDEN

    monkeypatch.setattr(cluster, "find", find)
    with pytest.raises(EffectFailedError, match=f"Job qa/{NAME} cannot be deleted: jobs.batch is forbidden"):
        await delete(cluster)
