"""What the API server makes of the CRDs beyond validation: defaults, subresources, columns, merging."""

import json
from dataclasses import replace

import pytest

import crds
from controller.analysis import record
from controller.api.conditions import conditions_of, write_conditions
from controller.api.names import API_VERSION
from controller.api.phase import Phase
from controller.api.resources import ANALYSIS_RUNS, CRDS, HTTP_ROUTES, METRIC_TEMPLATES, RELEASE_ACTIONS, RELEASES
from controller.api.status import Attempt, Blocked, Clock, ManualRollback, Rejection, Status, Unproven
from controller.api.status_format import status_from_raw, status_to_raw
from controller.kube.client import InvalidError
from controller.kube.objects import Key
from controller.stats.counts import Counts
from hack.crd.shapes import SHAPES
from tests import golden

NOW = 1_900_000_000.123456
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def _columns(kube, resource, namespace):
    answer = await kube.request("GET", resource.path(namespace), accept=TABLE)
    return {
        column["name"]: (column["priority"], cell)
        for column, cell in zip(answer["columnDefinitions"], answer["rows"][0]["cells"], strict=True)
    }


async def _apply(kube, namespace, name, spec, *, manager):
    body = {"apiVersion": API_VERSION, "kind": "Release", "metadata": {"name": name}, "spec": spec}
    query = {"fieldManager": manager, "force": "true"}
    path = RELEASES.path(namespace, name)
    return await kube.request("PATCH", path, query=query, body=body, content_type=APPLY)


async def test_routes_can_be_made_too(kube, namespace):
    route = {"apiVersion": HTTP_ROUTES.api_version, "kind": HTTP_ROUTES.kind, "metadata": {"name": "shop"}, "spec": {}}
    await kube.create(HTTP_ROUTES, namespace, route)


async def test_every_crd_is_sound(kube):
    """NonStructuralSchema and the like are conditions, and no error of the request that made the CRD."""
    for crd in crds.definitions():
        kept = await kube.get(CRDS, None, crd["metadata"]["name"])
        conditions = {one["type"]: one["status"] for one in kept["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}


async def test_nobody_takes_an_unseen_release_for_a_ready_one(kube, namespace):
    await kube.create(RELEASES, namespace, golden.release())
    kept = await kube.get(RELEASES, namespace, "shop")
    assert kept["status"] == {"observedGeneration": -1}


def _full_status():
    rejection = Rejection("abcdefghij", "ErrorsRegressed", "m" * 2000, "errors 9/812 vs 31/16240", NOW)
    return Status(
        phase=Phase.ROLLED_BACK,
        reason="RevisionRejected",
        message="it went back",
        evidence="errors 9/812 vs 31/16240",
        stable="abcdefghij",
        attempt=Attempt(
            "klmnopqrst",
            Clock(
                NOW,
                first_step=NOW,
                step_entered=NOW,
                step_started=NOW,
                held_since=NOW,
                unready_since=NOW,
                paused_since=NOW,
            ),
            step=1,
            approved_by="ann",
            awaits_person=True,
            start_blocked=True,
            paused_by="ann",
            full_by="ann",
            run="shop-7",
        ),
        attempts=7,
        steps=51,
        weight=0.5,
        weight_pending=True,
        weight_since=NOW,
        scaled_up=NOW,
        drain_since=NOW,
        going_back=ManualRollback("abcdefghij", "m" * 2000, NOW),
        announced=("AwaitingApproval:50", "MetricAdvises:" + "m" * 60),
        blocked=Blocked("RouterRefused", "m" * 2000, Phase.WAITING, "klmnopqrst"),
        handled=tuple(f"uid-{index}" for index in range(30)),
        unproven=(Unproven(0, "errors at most 3.2 times stable's"),),
        rejected=(rejection,) * 25,
        last_rollback=rejection,
        judged="Proven",
        replicas=4,
        ready_replicas=3,
        selector="pointsman.dev/release=shop,pointsman.dev/revision=abcdefghij",
    )


@pytest.mark.parametrize("phase", Phase)
async def test_what_the_operator_writes_fits_the_status_in_every_phase(kube, namespace, phase):
    created = await kube.create(RELEASES, namespace, golden.release())
    status = replace(_full_status(), phase=phase, message="m" * 2000)
    conditions = write_conditions(conditions_of(status), [], 1, NOW)
    raw = status_to_raw(status) | {"observedGeneration": 1, "conditions": conditions}
    path = RELEASES.path(namespace, "shop", "status")
    strict = {"fieldValidation": "Strict"}
    await kube.request("PUT", path, query=strict, body={**created, "status": raw})
    kept = (await kube.get(RELEASES, namespace, "shop"))["status"]
    assert kept == json.loads(json.dumps(raw))
    assert status_from_raw(kept).stable == "abcdefghij"


async def test_an_empty_status_fits_too(kube, namespace):
    created = await kube.create(RELEASES, namespace, golden.release())
    await kube.replace(RELEASES, {**created, "status": {**status_to_raw(Status()), "observedGeneration": 1}}, "status")


async def test_a_status_nobody_knows_is_refused(kube, namespace):
    created = await kube.create(RELEASES, namespace, golden.release())
    path = RELEASES.path(namespace, "shop", "status")
    body = {**created, "status": {"phase": "Healthy", "mood": "good"}}
    with pytest.raises(InvalidError, match=r'unknown field "status.mood"'):
        await kube.request("PUT", path, query={"fieldValidation": "Strict"}, body=body)
    with pytest.raises(InvalidError, match="Unsupported value"):
        await kube.replace(RELEASES, {**created, "status": {"phase": "Splendid"}}, "status")


async def test_writing_the_status_leaves_the_spec_and_the_generation(kube, namespace):
    created = await kube.create(RELEASES, namespace, golden.release())
    changed = {**created, "spec": {**created["spec"], "replicas": 9}, "status": {"phase": "Healthy"}}
    await kube.replace(RELEASES, changed, "status")
    kept = await kube.get(RELEASES, namespace, "shop")
    assert (kept["spec"]["replicas"], kept["metadata"]["generation"]) == (1, 1)
    assert kept["status"]["phase"] == "Healthy"


async def test_people_see_the_columns_that_the_product_promises(kube, namespace):
    created = await kube.create(RELEASES, namespace, golden.release())
    healthy = replace(_full_status(), phase=Phase.HEALTHY)
    status = status_to_raw(healthy) | {"conditions": write_conditions(conditions_of(healthy), [], 1, NOW)}
    await kube.replace(RELEASES, {**created, "status": status}, "status")
    columns = await _columns(kube, RELEASES, namespace)
    assert [name for name, (priority, _) in columns.items() if priority == 0] == [
        "Name", "Phase", "Step", "Weight", "Ready", "Reason", "Evidence", "Age",
    ]  # fmt: skip
    assert [name for name, (priority, _) in columns.items() if priority] == ["Stable", "Canary", "Message"]
    seen = {name: cell for name, (_, cell) in columns.items()}
    assert (seen["Phase"], seen["Step"], seen["Weight"], seen["Ready"]) == ("Healthy", "2/51", 0.5, "True")
    assert seen["Evidence"] == "errors 9/812 vs 31/16240"


async def test_an_autoscaler_reads_and_writes_through_scale(kube, namespace):
    created = await kube.create(RELEASES, namespace, golden.release())
    status = {"replicas": 2, "selector": "pointsman.dev/release=shop"}
    await kube.replace(RELEASES, {**created, "status": status}, "status")
    path = RELEASES.path(namespace, "shop", "scale")
    scale = await kube.request("GET", path)
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, status)
    await kube.request("PUT", path, body={**scale, "spec": {"replicas": 5}})
    assert (await kube.get(RELEASES, namespace, "shop"))["spec"]["replicas"] == 5


async def test_a_manifest_without_replicas_leaves_them_to_the_autoscaler(kube, namespace):
    spec = golden.release()["spec"]
    await _apply(kube, namespace, "shop", spec, manager="git")
    path = RELEASES.path(namespace, "shop", "scale")
    scale = await kube.request("GET", path)
    await kube.request("PUT", path, body={**scale, "spec": {"replicas": 5}})
    kept = await _apply(kube, namespace, "shop", {**spec, "suspend": True}, manager="git")
    assert kept["spec"]["replicas"] == 5


async def test_server_side_apply_merges_the_template_by_its_keys(kube, namespace):
    web = {"name": "web", "image": "example.com/web:1", "env": [{"name": "A", "value": "1"}]}
    web["ports"] = [{"containerPort": 53, "protocol": "UDP"}]
    first = {"containers": [web], "volumes": [{"name": "a", "emptyDir": {}}]}
    await _apply(kube, namespace, "shop", {**golden.release()["spec"], "template": {"spec": first}}, manager="git")
    more = {"name": "web", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 53}]}
    second = {"containers": [more, {"name": "proxy", "image": "example.com/proxy:1"}], "volumes": [{"name": "b"}]}
    kept = await _apply(kube, namespace, "shop", {"template": {"spec": second}}, manager="mesh")
    pod = kept["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["web", "proxy"]
    assert pod["containers"][0]["image"] == "example.com/web:1"
    assert [entry["name"] for entry in pod["containers"][0]["env"]] == ["A", "B"]
    assert [port["protocol"] for port in pod["containers"][0]["ports"]] == ["UDP", "TCP"]
    assert [volume["name"] for volume in pod["volumes"]] == ["a", "b"]


async def test_the_template_is_kept_as_it_was_written(kube, namespace):
    (file,) = [file for file in golden.valid() if file.stem == "release-template-of-every-kind"]
    raw = golden.load(file)
    kept = await kube.create(RELEASES, namespace, raw)
    assert kept["spec"]["template"] == raw["spec"]["template"]


async def test_an_action_never_changes_what_it_asks_for(kube, namespace):
    spec = {"release": "shop", "revision": "abcdefghij", "action": "approve"}
    created = await kube.create(RELEASE_ACTIONS, namespace, golden.own("ReleaseAction", "go", spec))
    with pytest.raises(InvalidError, match="never changes: create another ReleaseAction"):
        await kube.replace(RELEASE_ACTIONS, {**created, "spec": {**spec, "action": "abort"}})
    answer = {"result": "Accepted", "message": "approved", "at": "2030-01-31T12:00:00.000000Z"}
    await kube.replace(RELEASE_ACTIONS, {**created, "status": answer}, "status")
    columns = await _columns(kube, RELEASE_ACTIONS, namespace)
    assert list(columns) == ["Name", "Release", "Action", "Revision", "Result", "Message", "Age"]
    assert columns["Result"] == (0, "Accepted")


async def test_a_record_takes_200_looks_a_page_in_one_request(kube, namespace):
    (file,) = [file for file in golden.valid() if file.stem == "analysisrun"]
    raw = golden.load(file)
    look = raw["status"]["looks"][0]
    raw["status"]["looks"] = [{**look, "n": number} for number in range(1, 201)]
    created = await kube.create(ANALYSIS_RUNS, namespace, raw)
    assert len(created["status"]["looks"]) == 200
    columns = await _columns(kube, ANALYSIS_RUNS, namespace)
    assert list(columns) == ["Name", "Release", "Canary", "Looks", "Verdict", "Evidence", "Age"]
    created["status"]["looks"].append(look)
    with pytest.raises(InvalidError, match="must have at most 200 items"):
        await kube.replace(ANALYSIS_RUNS, created)


async def test_a_look_that_is_written_down_before_it_is_judged_is_kept_and_so_is_one_that_was_left_out(kube, namespace):
    (file,) = [file for file in golden.valid() if file.stem == "analysisrun"]
    raw = golden.load(file)
    key = Key(namespace, raw["spec"]["release"])
    look = record.run_of(key, "run", [raw]).looks[-1]
    left_out = replace(look, number=look.number + 1, rows={"errors": Counts(3, 10**7, 5, 10**9)})
    raw["status"]["looks"].append(record.look_to_raw(replace(left_out, rows={}), left_out))
    judging = replace(left_out, number=look.number + 2)
    raw["status"]["judging"] = record.look_to_raw(judging)
    created = await kube.create(ANALYSIS_RUNS, namespace, raw)
    read = record.run_of(key, "run", [created])
    assert (read.judging, read.left_out) == (judging, {left_out.number: left_out})


async def test_short_names_and_the_category_find_everything(kube):
    found = await kube.request("GET", f"/apis/{API_VERSION}")
    names = {
        one["kind"]: (one["shortNames"], one["categories"]) for one in found["resources"] if "/" not in one["name"]
    }
    assert names == {
        "Release": (["rel"], ["pointsman"]),
        "AnalysisRun": (["arun"], ["pointsman"]),
        "MetricTemplate": (["mt"], ["pointsman"]),
        "MetricSource": (["msrc"], ["pointsman"]),
        "ReleaseAction": (["ract"], ["pointsman"]),
        "ReleaseRepository": (["rrepo"], ["pointsman"]),
    }


async def test_a_parameter_has_a_default_of_any_scalar_type(kube, namespace):
    (file,) = [file for file in golden.valid() if file.stem == "metrictemplate-every-type"]
    kept = await kube.create(METRIC_TEMPLATES, namespace, golden.load(file))
    defaults = {parameter["name"]: parameter.get("default") for parameter in kept["spec"]["parameters"]}
    assert defaults == {
        "text": "a", "number": 0.25, "integer": 3, "age": "90s", "strict": False, "needed": None,
    }  # fmt: skip


def test_texts_that_the_operator_writes_are_never_too_long_for_the_status():
    """It cuts them at 1024 letters; a status that is refused is a rollout that stands still."""
    assert all(SHAPES[name]["maxLength"] >= 1024 for name in ("message", "reason", "evidence"))
