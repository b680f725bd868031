"""A release under analysis goes from 0.1.0's operator to today's with all its counts, and none counted twice."""

import itertools

import pytest

from controller.api.resources import ANALYSIS_RUNS, METRIC_TEMPLATES
from hack.node.influx import InfluxDB
from tests import earlier
from tests.e2e.patience import until
from tests.integration.metric_source import judged, offer
from tests.integration.operator_fixture import weight
from tests.integration.traffic import Traffic
from tests.integration.upgrade_fixture import plane, upgrade

__all__ = ["plane", "upgrade"]

pytestmark = pytest.mark.upgrade


async def test_a_version_is_judged_by_its_looks_from_before_and_after_the_upgrade(upgrade, tmp_path):
    kube, namespace = upgrade.kube, upgrade.namespace
    analysis = judged()["spec"]["analysis"]

    async def looks(name):
        run = await kube.find(ANALYSIS_RUNS, namespace, name)
        return (run or {}).get("status", {}).get("looks", [])

    with InfluxDB(tmp_path / "influx") as influx:
        await offer(kube, namespace, influx, (), patience="5s")
        await kube.create(METRIC_TEMPLATES, namespace, earlier.template("http-errors"))
        async with Traffic(kube, namespace, "judged", influx).running() as traffic:
            upgrade.earlier.start()
            steps = (weight(10, atLeast="20m", atMost="30m"),)
            shop = await upgrade.given("judged", *steps, version="", analysis=analysis)
            traffic.bad[(await shop.status())["stableRevision"]] = 0.01
            await shop.commit("2")
            canary = (await shop.until(lambda status: status["weight"] == 10))["canaryRevision"]
            traffic.bad[canary] = 0.01
            name = f"judged-{canary}-1"
            await until(lambda: looks(name), "0.1.0 has written looks")
            upgrade.earlier.kill()
            before = await looks(name)
            await upgrade.apply_current_crds()
            upgrade.current.start()
            await upgrade.taken_over(shop)

            async def goes_on():
                return len(await looks(name)) > len(before)

            await until(goes_on, "today's operator has written looks", 120)
            assert (await shop.status())["weight"] == 10
            traffic.bad[canary] = 0.3
            done = await shop.until_phase("RolledBack")
    run = await kube.get(ANALYSIS_RUNS, namespace, name)
    found = run["status"]["looks"]
    assert (done["reason"], run["status"]["verdict"], done["attempt"]) == ("Regressed", "regression", 1)
    assert found[: len(before)] == before
    assert [look["n"] for look in found] == list(range(1, len(found) + 1))
    assert [(one["to"], other["from"]) for one, other in itertools.pairwise(found) if one["to"] != other["from"]] == []
    bad, total = (sum(look["rows"]["errors"][index] for look in found) for index in (0, 1))
    assert f"errors: {bad} of {total} bad on the canary" in done["message"]
