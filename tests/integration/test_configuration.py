"""Configuration as part of the version, against a real API server: what it holds, refuses, and tells of."""

import asyncio
import base64
import random

from controller.api.names import CONFIG, CONFIG_LIVE, REVISION_LABEL
from controller.api.resources import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, RELEASES
from tests.integration.operator_fixture import APPROVE, release, weight


def configured(*steps, **more):
    """Names one ConfigMap in each way there is."""
    body = release(*steps)
    pods = body["spec"]["template"]["spec"]
    (container,) = pods["containers"]
    container["env"].append({"name": "TONE", "valueFrom": {"configMapKeyRef": {"name": "prompts", "key": "tone"}}})
    container["envFrom"] = [{"configMapRef": {"name": "prompts"}}]
    container["volumeMounts"] = [{"name": "prompts", "mountPath": "/prompts/tone", "subPath": "tone"}]
    items = [{"key": "tone", "path": "tone"}]
    pods["volumes"] = [
        {"name": "prompts", "configMap": {"name": "prompts"}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "prompts", "items": items}}]}},
    ]
    body["spec"] |= more
    return body


async def write(shop, data, name="prompts", **more):
    metadata = {"name": name, "namespace": shop.namespace, "annotations": more.pop("annotations", {})}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    found = await shop.kube.find(CONFIG_MAPS, shop.namespace, name)
    write_it = shop.kube.create(CONFIG_MAPS, shop.namespace, {**body, "data": data, **more})
    if found is not None:
        write_it.close()
        write_it = shop.kube.replace(CONFIG_MAPS, {**body, "data": data, **more})
    await write_it


async def copies(shop):
    found = await shop.kube.list(CONFIG_MAPS, shop.namespace, labels=REVISION_LABEL)
    return {item["metadata"]["name"]: item for item in found}


async def eventually(met, seconds=60):
    async with asyncio.timeout(seconds):
        while not await met():  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)


async def test_an_edit_is_released_and_a_rollback_brings_the_old_content_back(shop):
    await write(shop, {"tone": "polite"}, binaryData={"model": "AAEC"})
    await shop.given(configured(weight(50), APPROVE))
    first = (await shop.status())["stableRevision"]
    await write(shop, {"tone": "warm"}, binaryData={"model": "AAEC"})
    waiting = await shop.until(lambda status: status["reason"] == "AwaitingApproval")
    second = waiting["canaryRevision"]
    assert waiting["configurationChange"] == "configuration: prompts/tone changed"
    found = await copies(shop)
    assert found.keys() == {f"web-{first}-prompts", f"web-{second}-prompts"}
    assert [found[f"web-{one}-prompts"]["data"]["tone"] for one in (first, second)] == ["polite", "warm"]
    assert all(item["immutable"] and item["binaryData"] == {"model": "AAEC"} for item in found.values())
    pods = (await shop.kube.get(DEPLOYMENTS, shop.namespace, f"web-{second}"))["spec"]["template"]["spec"]
    assert str(pods).count(f"web-{second}-prompts") == 4
    code, said = await shop.command("explain", "web")
    assert (code, "change  configuration: prompts/tone changed" in said) == (0, True), said
    assert (await shop.command("approve", "web", "--reason", "it reads well"))[0] == 0
    await shop.until(lambda status: status["phase"] == "Healthy" and status["stableRevision"] == second)

    async def only(revision):
        return (await copies(shop)).keys() == {f"web-{revision}-prompts"}

    await eventually(lambda: only(second))
    assert (await shop.command("rollback", "web", "--to", first, "--reason", "too warm"))[0] == 0
    await shop.until(lambda status: status["stableRevision"] == first)
    await eventually(lambda: only(first))
    assert (await copies(shop))[f"web-{first}-prompts"]["data"] == {"tone": "polite"}


async def test_a_copy_that_somebody_deletes_is_back_within_seconds(shop):
    await write(shop, {"tone": "polite"})
    await shop.given(configured(weight(50), APPROVE))
    name = f"web-{(await shop.status())['stableRevision']}-prompts"
    before = await shop.kube.get(CONFIG_MAPS, shop.namespace, name)
    await shop.kube.delete(CONFIG_MAPS, shop.namespace, name)

    async def back():
        found = await shop.kube.find(CONFIG_MAPS, shop.namespace, name)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    await eventually(back)
    assert (await copies(shop))[name]["data"] == {"tone": "polite"}
    await shop.until_phase("Healthy")


async def test_a_config_map_that_goes_and_comes_back_is_told_and_starts_nothing(shop):
    await write(shop, {"tone": "polite"})
    await shop.given(configured(weight(50), APPROVE))
    await shop.kube.delete(CONFIG_MAPS, shop.namespace, "prompts")
    gone = await shop.until(lambda status: status["reason"] == "ConfigMissing")
    assert f"ConfigMap {shop.namespace}/prompts does not exist" in gone["message"]
    assert "canaryRevision" not in gone
    await write(shop, {"tone": "polite"})
    back = await shop.until_phase("Healthy")
    assert back["attempt"] == gone["attempt"]


def noise(seed, size):
    """What cannot be packed."""
    return {"noise": base64.b64encode(random.Random(seed).randbytes(size)).decode()}  # noqa: S311 - no secret


async def test_as_much_as_a_version_can_keep_is_kept_however_little_it_packs(shop):
    """etcd takes 1.5 MiB: what cannot be packed is the most that a ControllerRevision has to hold."""
    await write(shop, {"tone": "polite"}, binaryData=noise(1, 380_000))
    await write(shop, {}, "model", binaryData=noise(2, 390_000))
    body = configured(weight(50), APPROVE)
    body["spec"]["template"]["spec"]["containers"][0]["envFrom"].append({"configMapRef": {"name": "model"}})
    await shop.given(body)
    stable = (await shop.status())["stableRevision"]
    kept = await shop.kube.get(CONTROLLER_REVISIONS, shop.namespace, f"web-{stable}")
    assert len(kept["data"]["configuration"]["packed"]) > 1_000_000
    assert (await copies(shop))[f"web-{stable}-model"]["binaryData"] == noise(2, 390_000)
    await write(shop, {}, "model", binaryData=noise(3, 420_000))
    too_much = await shop.until(lambda status: status["reason"] == "ConfigTooLarge")
    assert too_much["stableRevision"] == stable
    await write(shop, {}, "model", binaryData=noise(3, 420_000), annotations={CONFIG: CONFIG_LIVE})
    live = await shop.until(lambda status: status["reason"] == "AwaitingApproval")
    assert f"web-{live['canaryRevision']}-model" not in await copies(shop)


async def test_copies_have_the_owners_of_the_deletion_policy(shop):
    await write(shop, {"tone": "polite"})
    await shop.given(configured(weight(50), APPROVE))
    name = f"web-{(await shop.status())['stableRevision']}-prompts"

    async def owned(wanted):
        metadata = (await shop.kube.get(CONFIG_MAPS, shop.namespace, name))["metadata"]
        return [one["kind"] for one in metadata.get("ownerReferences", [])] == wanted

    assert await owned(["Release"])
    await shop.edit(lambda body: body["spec"].update(deletionPolicy="Orphan"))
    await eventually(lambda: owned([]))
    await shop.kube.delete(RELEASES, shop.namespace, "web")

    async def gone():
        return await shop.kube.find(RELEASES, shop.namespace, "web") is None

    await eventually(gone)
    assert (await copies(shop)).keys() == {name}
