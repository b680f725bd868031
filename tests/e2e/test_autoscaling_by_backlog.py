"""KEDA scales the Release of a queue's workers by the queue's length, in mid-release."""

import asyncio
import math
from contextlib import nullcontext

import pytest
import yaml

from controller.api.resources import RELEASES, Resource
from hack.demonstration.jobs import LEDGER
from hack.install import CHECKOUT, Kubectl, make_secret
from hack.node import aws as local
from tests.autoscaling import keda
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, set_values, weight
from tests.e2e.sizes import Sizes
from workloads.common import provisioning
from workloads.common.aws import Aws
from workloads.common.job_row import State
from workloads.common.producer import Producer
from workloads.image_worker import audit
from workloads.image_worker.provision import provision, remove

NAME = "image-worker"
DEMO, SHIPPED = CHECKOUT / "gitops/demo/worker", CHECKOUT / "gitops/workloads/image-worker"
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
BEFORE, MOST = 2, 4
SHARE = 20
JOBS = 200
"""Much more than MOST pods are to have waiting, by the target of 10 for each."""


@pytest.fixture
async def queue(cluster, shop, monkeypatch):
    """Places of the namespace's own in the local AWS, and clients of it."""
    for name, value in local.environment(cluster.aws_url).items():
        monkeypatch.setenv(name, value)  # where boto3 looks
    async with Aws(path_style=True, calls=16) as aws:
        places = await provision(aws, shop.namespace, max_attempts=3, visibility_s=30)
        await provisioning.table(aws, LEDGER, "service", "item")
        yield aws, places
        await remove(aws, places)


@pytest.fixture
async def worker(cluster, shop, queue):
    """Applies what the Release needs; its manifest."""
    objects = list(yaml.safe_load_all(Kubectl(cluster)("kustomize", DEMO)))
    beside = [one for one in objects if one["kind"] in {"ConfigMap", "ServiceAccount"}]
    (release,) = (one for one in objects if one["kind"] == RELEASES.kind)
    for one in (*beside, release):
        one["metadata"]["namespace"] = shop.namespace
    _, places = queue
    (settings,) = (one["data"] for one in beside if one["kind"] == "ConfigMap")
    account = f"{cluster.in_cluster.aws_url}/000000000000"
    settings |= {
        "QUEUE_URL": f"{account}/{shop.namespace}",
        "DEAD_LETTER_QUEUE_URL": f"{account}/{shop.namespace}-dead-letters",
        "JOBS_TABLE": places.jobs,
        "NEAR_TABLE": places.near,
        "BUCKET": places.bucket,
    }
    Kubectl(cluster).apply("-f", "-", text=yaml.safe_dump_all(beside))
    make_secret(Kubectl(cluster), "aws", shop.namespace, **local.environment(cluster.in_cluster.aws_url))
    shop.name = NAME
    release["spec"]["strategy"]["canary"]["steps"] = [weight(SHARE), APPROVE]
    release["spec"] |= {"replicas": BEFORE, "analysis": NOT_JUDGED, "drain": SHORT_DRAIN}
    set_values(release, EXTRA_LATENCY="1")
    return release


def scaled_object(cluster, shop):
    """As it is shipped, for this account."""
    shipped, _ = yaml.safe_load_all((SHIPPED / "autoscaling/scaledobject.yaml").read_text())
    spec = shipped["spec"] | {"minReplicaCount": BEFORE, "maxReplicaCount": MOST, "pollingInterval": 5}
    (trigger,) = spec["triggers"]
    del trigger["authenticationRef"]
    trigger["metadata"] |= {
        "queueURL": f"{cluster.aws_url}/000000000000/{shop.namespace}",
        "awsRegion": local.REGION,
        "identityOwner": "operator",
    }
    return {**shipped, "spec": spec}


async def send(aws, places):
    producer = Producer(aws, places, send=lambda _: nullcontext({}))
    image = {"kind": "render", "width": 96, "height": 96}
    await asyncio.gather(*(producer.enqueue({"job_id": f"job-{number}", **image}) for number in range(JOBS)))


def canary_beside(replicas):
    """Its share of the claims, and half more."""
    return math.ceil(1.5 * SHARE / 100 * replicas)


@pytest.fixture
async def keda_operator(cluster, shop, tmp_path):
    """KEDA, and no ScaledObject that outlives it: a finalizer of KEDA's would keep the namespace."""
    environment = local.environment(cluster.aws_url)
    with keda(cluster, tmp_path, namespace=shop.namespace, environment=environment) as operator:
        yield operator
        for one in await shop.kube.list(SCALED_OBJECTS, shop.namespace):
            await shop.kube.delete(SCALED_OBJECTS, shop.namespace, one["metadata"]["name"])

        async def none_is_left():
            return not await shop.kube.list(SCALED_OBJECTS, shop.namespace)

        await until(none_is_left, "KEDA has let its ScaledObjects go")


@pytest.mark.keda
async def test_keda_scales_workers_by_backlog_and_the_canary_keeps_its_share(
    cluster, shop, queue, worker, keda_operator, measured
):
    aws, places = queue
    await shop.kube.create(RELEASES, shop.namespace, worker)
    stable = (await shop.until_phase("Healthy"))["stableRevision"]
    async with Sizes.of(shop) as sizes:
        await shop.kube.create(SCALED_OBJECTS, shop.namespace, scaled_object(cluster, shop))
        await shop.commit(VERSION="2")
        canary = (await shop.until(lambda status: status["reason"] == "AwaitingApproval"))["canaryRevision"]
        await send(aws, places)

        async def is_scaled():
            return (await shop.release())["spec"]["replicas"] == MOST

        try:
            await until(is_scaled, "KEDA has scaled the Release", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{keda_operator.log.read_text()[-3000:]}") from error
        await until(lambda: sizes.of_versions[stable][-1] == MOST, "stable has its pods")
        assert sizes.of_versions[canary][-1] == canary_beside(MOST)

        async def are_done():
            rows = (await audit.rows(aws, places.jobs)).values()
            return rows if sum(row.state is State.COMPLETED for row in rows) == JOBS else []

        rows = await until(are_done, f"{JOBS} jobs are done", 90)
        await shop.ask("approve")
        promoted = await shop.until_phase("Healthy")
    by_canary = sum(row.version == canary for row in rows)
    measured("sizes", sizes.of_release)
    measured("sizes of stable, canary", (sizes.of_versions[stable], sizes.of_versions[canary]))
    measured("jobs of the canary", f"{by_canary} of {JOBS}")
    assert promoted["stableRevision"] == canary
    assert sizes.of_release == sorted(sizes.of_release), "the queue is empty again, and nothing flaps"
    assert sizes.of_versions[stable] == sorted(sizes.of_versions[stable])
    assert min(sizes.of_versions[stable]) == BEFORE
    assert 0 < by_canary <= SHARE / 100 * JOBS
    assert sizes.scaled_by[canary] == sizes.scaled_by[stable] == {"pointsman"}, "KEDA scales the Release alone"
