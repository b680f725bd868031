"""What happens to the cluster itself while a new version comes out: its API server, its CRDs, its webhooks."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

import crds
from controller.api.resources import CRDS, DEPLOYMENTS, HTTP_ROUTES, NAMESPACES, RELEASES, SERVICES, Resource
from controller.kube.client import KubeClient
from hack.node.controlplane import ControlPlane
from hack.node.pki import Authority
from hack.node.process import free_port
from tests.integration.cluster_fixture import define, gateway_api, new_namespace
from tests.integration.node import Node
from tests.integration.operator_fixture import APPROVE, OperatorProcess, Shop, pause, release, weight

WEBHOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"
)
OUTLASTS_S = 60.0
"""Of the Lease: longer than an API server takes to come back twice on a machine that has other work to do."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """A cluster of its own, for what the other tests would notice."""
    with ControlPlane(tmp_path_factory.mktemp("faults")) as running:
        with running.http() as http:
            define(http, [*crds.definitions(), *gateway_api()])
        yield running


@pytest.fixture
async def own_shop(plane, tmp_path):
    kube = await KubeClient.connect(str(plane.kubeconfig))
    try:
        async with new_namespace(kube) as namespace, Node(kube, namespace).running() as node:
            operator = OperatorProcess(plane.kubeconfig, namespace, tmp_path / "operator.log", lease_s=OUTLASTS_S)
            with operator.running():
                yield Shop(kube, namespace, node, operator, plane.kubeconfig)
    finally:
        await kube.close()


async def test_an_api_server_killed_and_started_again_in_mid_release_changes_nothing(plane, own_shop):
    await own_shop.given(release(weight(10), pause(1), weight(50), APPROVE, progressDeadlineSeconds=600))
    await own_shop.commit("2")
    for _ in range(2):
        await own_shop.until(lambda status: status.get("canaryRevision"))
        await asyncio.to_thread(plane.restart_apiserver)
    waiting = await own_shop.until_phase("Paused")
    assert (waiting["weight"], waiting["attempt"]) == (50, 1)
    await asyncio.to_thread(plane.restart_apiserver)
    assert (await own_shop.command("approve", "web", "--reason", "the graphs look well"))[0] == 0
    done = await own_shop.until_phase("Healthy")
    assert done["stableRevision"] == waiting["canaryRevision"]
    assert "rejected" not in done
    assert own_shop.operator.alive, "it waits for the API server, and need not be started again"
    await own_shop.kube.delete(RELEASES, own_shop.namespace, own_shop.name)
    await _gone(own_shop)


async def test_pointsman_taken_away_with_its_crds_in_mid_release_leaves_nothing_behind(plane, own_shop):
    await own_shop.given(release())
    await own_shop.kube.delete(RELEASES, own_shop.namespace, own_shop.name)
    await _gone(own_shop)  # so the garbage collector, which asks for kinds twice a minute, knows Releases
    await own_shop.given(release(weight(10), APPROVE))
    await own_shop.commit("2")
    await own_shop.until_phase("Paused")
    own = f"{RELEASES.plural}.{RELEASES.group}"
    names = {definition["metadata"]["name"] for definition in crds.definitions()}
    for others in names - {own}:
        await own_shop.kube.delete(CRDS, None, others)
    for others in names - {own}:  # kopf ends with the first of them, and sees no Release being deleted any longer
        await _absent(own_shop.kube, CRDS, None, others)
    await own_shop.kube.delete(CRDS, None, own)
    await _gone(own_shop)
    await _absent(own_shop.kube, CRDS, None, own)
    assert await own_shop.operator.ends() != 0, "there is nothing left to watch"
    said = own_shop.operator.log.read_text()
    assert said.endswith("were deleted; stopping, to wait for them at the next start\n"), said[-8000:]
    assert "never retrieved" not in said, "no watch is left to find out by itself"
    own_shop.operator.start()  # as the kubelet does
    async with asyncio.timeout(30):
        while "waiting for the CRDs of releases" not in own_shop.operator.log.read_text():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.2)
    with plane.http() as http:
        define(http, crds.definitions())
    await own_shop.given(release(weight(10), pause(0.1)))
    await own_shop.kube.delete(RELEASES, own_shop.namespace, own_shop.name)
    await _gone(own_shop)


async def test_a_namespace_deleted_in_mid_release_goes(shop):
    await shop.given(release(weight(10), APPROVE))
    await shop.commit("2")
    await shop.until_phase("Paused")
    await shop.kube.delete(NAMESPACES, None, shop.namespace)
    # those of all other tests go one after another, and one with pods is tried again after a minute
    await _absent(shop.kube, NAMESPACES, None, shop.namespace, seconds=220)


async def test_a_webhook_that_changes_deployments_is_left_alone_and_nothing_is_rolled_twice(stall, tmp_path):
    async with webhook(stall, tmp_path) as reviews:
        await stall.given(release(weight(10), pause(0.3), weight(50), pause(0.3)))
        await stall.commit("2")
        done = await stall.until(lambda status: status["phase"] == "Healthy" and status["judged"] == "NoMetrics")
        name = f"web-{done['stableRevision']}"
        kept = await stall.kube.get(DEPLOYMENTS, stall.namespace, name)
        assert [one["name"] for one in kept["spec"]["template"]["spec"]["containers"]] == ["web", "mesh"]
        await stall.operator.looks(5)
        assert reviews["CREATE"] == 2, "one for each version"
        assert (await stall.kube.get(DEPLOYMENTS, stall.namespace, name))["metadata"]["generation"] <= 3
        written = sum(reviews.values())
        await stall.operator.looks(5)
        assert sum(reviews.values()) == written, "at rest nothing is written"


@contextlib.asynccontextmanager
async def webhook(stall, folder) -> AsyncIterator[Counter[str]]:
    """Injects a container into each Deployment that is made in the namespace, and a label at each change."""
    reviews: Counter[str] = Counter()

    async def review(request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        reviews[asked["operation"]] += 1
        patch: list[dict[str, object]] = [{"op": "add", "path": "/metadata/labels/mesh", "value": "on"}]
        if asked["operation"] == "CREATE":
            mesh = {"name": "mesh", "image": "mesh:1"}
            patch.append({"op": "add", "path": "/spec/template/spec/containers/-", "value": mesh})
        answer = {
            "uid": asked["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    authority = Authority(folder / "pki")
    authority.create()
    serving = authority.server("webhook", names=["localhost"], addresses=["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(serving.certificate, serving.key)
    application = web.Application()
    application.router.add_post("/", review)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    bundle = base64.b64encode(authority.pair.certificate.read_bytes()).decode()
    name = f"mesh-{stall.namespace}"
    kinds = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
    hook = {
        "name": "mesh.pointsman.test",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": bundle},
        "rules": [{**kinds, "operations": ["CREATE", "UPDATE"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stall.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    body = {"metadata": {"name": name}, "webhooks": [hook]}
    try:
        await stall.kube.create(WEBHOOKS, None, body)
        await _until_called(stall, reviews)
        yield reviews
    finally:
        await stall.kube.delete(WEBHOOKS, None, name)
        await runner.cleanup()


async def _until_called(stall, reviews: Counter[str]) -> None:
    """The API server takes a moment to know of it."""
    labels = {"matchLabels": {"app": "try"}}
    template = {"metadata": {"labels": {"app": "try"}}, "spec": {"containers": [{"name": "try", "image": "try"}]}}
    body = {"metadata": {"name": "try", "labels": {"app": "try"}}, "spec": {"selector": labels, "template": template}}
    async with asyncio.timeout(20):
        while not reviews:
            await stall.kube.request("POST", DEPLOYMENTS.path(stall.namespace), body=body, query={"dryRun": "All"})
            await asyncio.sleep(0.1)
    reviews.clear()


async def _gone(shop) -> None:
    """The Release and all that was made for it."""
    await _absent(shop.kube, RELEASES, shop.namespace, shop.name)
    await _absent(shop.kube, HTTP_ROUTES, shop.namespace, shop.name)
    await _absent(shop.kube, SERVICES, shop.namespace, shop.name)
    async with asyncio.timeout(60):
        while any((await shop.objects()).values()):  # noqa: ASYNC110 - the garbage collector is waited for
            await asyncio.sleep(0.2)


async def _absent(kube, resource: Resource, namespace: str | None, name: str, *, seconds: float = 90) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (found := await kube.find(resource, namespace, name)) is not None:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"after {seconds} s there is still {json.dumps(found)}") from None
