"""A real HorizontalPodAutoscaler scales a Release in mid-release, by the CPU that a real metrics-server measures."""

import math
import time

import pytest

from controller.api import times
from controller.api.resources import HORIZONTAL_POD_AUTOSCALERS
from tests.autoscaling import metrics_server
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, weight
from tests.e2e.sizes import Sizes

BEFORE, MOST = 2, 6
NEEDED = 4.6
"""Pods that all of the work needs by the target of the test: 5, and for half of it 3."""
REQUEST_M = 20
"""Thousandths of a core that a pod of the subject requests."""
LOADED_S = 20
"""Nothing of what is measured then is older than the load."""
STEADY_S = 20
"""Several rounds of the autoscaler, and one of new measurements."""


@pytest.fixture
def measured_cpu(cluster, shop, tmp_path):
    """metrics-server serves what pods use."""
    with metrics_server(cluster, tmp_path, namespace=shop.namespace) as daemon:
        yield daemon


async def used(shop, since):
    """Thousandths of a core by pod, each measured after that moment; those that are not yet are left out."""
    items = (await shop.kube.request("GET", f"/apis/metrics.k8s.io/v1beta1/namespaces/{shop.namespace}/pods"))["items"]
    return {
        item["metadata"]["name"]: sum(_thousandths(one["usage"]["cpu"]) for one in item["containers"])
        for item in items
        if times.from_text(item["timestamp"]) >= since
    }


def _thousandths(quantity):
    for unit, of_core in (("n", 1e-6), ("u", 1e-3), ("m", 1.0)):
        if quantity.endswith(unit):
            return float(quantity.removesuffix(unit)) * of_core
    return float(quantity) * 1000


def autoscaler(name, *, percent):
    target = {"apiVersion": "pointsman.dev/v1alpha1", "kind": "Release", "name": name}
    utilization = {"type": "Utilization", "averageUtilization": percent}
    return {
        "apiVersion": HORIZONTAL_POD_AUTOSCALERS.api_version,
        "kind": HORIZONTAL_POD_AUTOSCALERS.kind,
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": BEFORE,
            "maxReplicas": MOST,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
        },
    }


def canary_beside(replicas, percent):
    """matchWeight: its share and a quarter more."""
    return math.ceil(1.25 * percent / 100 * replicas)


@pytest.mark.timeout(600)  # metrics-server may have to be built
async def test_an_autoscaler_by_cpu_sizes_both_versions_for_all_of_the_work(shop, measured_cpu, measured):
    stable = await shop.given(weight(50), APPROVE, replicas=BEFORE, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    async with shop.load(rate=100), Sizes.of(shop) as sizes:
        await shop.commit(VERSION="2")
        canary = (await shop.until(lambda status: status["reason"] == "AwaitingApproval"))["canaryRevision"]
        loaded = time.time() + LOADED_S
        pods = BEFORE + canary_beside(BEFORE, 50)

        async def all_measured():
            by_pod = await used(shop, loaded)
            return by_pod if len(by_pod) == pods else {}

        try:
            by_pod = await until(all_measured, f"metrics-server has measured {pods} pods", 90)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{measured_cpu.log.read_text()[-3000:]}") from error
        whole = sum(by_pod.values())
        wanted = autoscaler(shop.name, percent=round(whole / NEEDED / REQUEST_M * 100))
        await shop.kube.create(HORIZONTAL_POD_AUTOSCALERS, shop.namespace, wanted)

        async def is_scaled():
            size = (await shop.release())["spec"]["replicas"]
            return size if size >= math.ceil(NEEDED) - 1 else 0

        await until(is_scaled, "the autoscaler has scaled the Release", 60)
        steady = time.monotonic() + STEADY_S
        await until(lambda: time.monotonic() > steady, "several rounds have passed")
        size = (await shop.release())["spec"]["replicas"]
        await until(lambda: sizes.of_versions[stable][-1] == size, "stable has its pods")
        assert sizes.of_versions[canary][-1] == canary_beside(size, 50)
        await shop.ask("approve")
        promoted = await shop.until_phase("Healthy")
    measured("thousandths of a core", round(whole))
    measured("sizes", sizes.of_release)
    measured("sizes of stable, canary", (sizes.of_versions[stable], sizes.of_versions[canary]))
    assert promoted["stableRevision"] == canary
    assert sizes.of_release == sorted(sizes.of_release), "more work than by its start: nothing is scaled down"
    assert len(sizes.of_release) <= 4, "it does not flap"
    assert sizes.of_versions[stable] == sorted(sizes.of_versions[stable])
    assert min(sizes.of_versions[stable]) == BEFORE
    assert sizes.scaled_by[canary] == sizes.scaled_by[stable] == {"pointsman"}, "an autoscaler scales the Release alone"
