"""Evidence from a real InfluxDB moves real objects: conviction, patience in an outage, and the record of both."""

import asyncio
import itertools
import json
from functools import partial
from typing import Any

import pytest

from controller.api.resources import ANALYSIS_RUNS, DEPLOYMENTS, METRIC_SOURCES, RELEASES
from hack.node.influx import InfluxDB
from tests.e2e.patience import until
from tests.integration.metric_source import ERRORS, judged, offer, set_token
from tests.integration.operator_fixture import Shop, weight
from tests.integration.traffic import Traffic


@pytest.fixture
def influx(tmp_path):
    with InfluxDB(tmp_path / "influx") as server:
        yield server


@pytest.fixture
async def traffic(shop, influx):
    """The shipped template, a source for it, and requests that are counted there."""
    await offer(shop.kube, shop.namespace, influx, ("http-errors", "http-latency-quantiles"))
    async with Traffic(shop.kube, shop.namespace, shop.name, influx).running() as traffic:
        yield traffic


async def test_a_bad_version_is_convicted_and_the_counts_are_told(shop, traffic):
    await shop.given(judged(weight(10, atMost="60s")))
    stable = (await shop.status())["stableRevision"]
    traffic.bad[stable] = 0.01
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("weight") == 10))["canaryRevision"]
    traffic.bad[canary] = 0.2
    done = await shop.until_phase("RolledBack")
    assert done["reason"] == "Regressed"
    assert await shop.shares() == {stable: 10000}
    assert "bad on the canary" in done["lastRollback"]["message"]
    run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"web-{canary}-1")
    assert run["status"]["verdict"] == "regression"
    bad, total = (sum(look["rows"]["errors"][index] for look in run["status"]["looks"]) for index in (0, 1))
    assert f"errors: {bad} of {total} bad on the canary" in done["message"], "the record is what convicted"
    assert _gaps(run) == []
    code, text = await shop.command("explain", "web")
    assert code == 0
    assert f"canary {bad} of {total}" in text


async def test_work_that_is_missing_is_waited_for_and_nobody_is_blamed(shop, traffic):
    await shop.given(judged(weight(10, atMost="10m")))
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("canaryRevision")))["canaryRevision"]
    traffic.lost[canary] = 0.8
    waiting = await shop.until(lambda status: status.get("reason") == "WorkMissing")
    assert (waiting["phase"], waiting["weight"]) == ("Waiting", 10)
    assert "work of the canary is missing" in waiting["message"]
    assert "rejected" not in waiting
    traffic.lost[canary] = 0.0
    await shop.until(lambda status: status.get("reason") != "WorkMissing")


LATENCY = {"name": "latency", "template": "http-latency-quantiles", "margin": {"rollbackAbove": 1.25}}
PROMPT = {0.05: 0.4, 0.1: 0.09, 0.25: 0.02, 1.0: 0.0}


async def test_a_version_that_is_slow_in_its_tail_alone_is_convicted_at_an_edge_that_stables_past_has_named(
    shop, traffic
):
    await shop.given(judged(weight(10, atMost="60s"), metrics=[LATENCY], advanced={"settle": "700ms", "warmUp": "0s"}))
    stable = (await shop.status())["stableRevision"]
    traffic.slower[stable] = PROMPT
    await asyncio.sleep(3)
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("canaryRevision")))["canaryRevision"]
    traffic.slower[canary] = {**PROMPT, 1.0: 0.1, 0.25: 0.1}
    done = await shop.until_phase("RolledBack")
    run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"web-{canary}-1")
    method = run["spec"]["method"]["metrics"]
    assert [metric["name"] for metric in method] == ["latency/0.05", "latency/0.1", "latency/0.25", "latency/1"]
    assert [metric["name"] for metric in method if "promoteBelow" in metric] == ["latency/0.1"]
    assert done["message"].startswith("latency/1: ")
    last = run["status"]["looks"][-1]
    halves, row = last["halves"]["latency/0.05"], last["rows"]["latency/0.05"]
    assert [halves[0] + halves[2], halves[1] + halves[3]] == row[2:], "both halves of stable's pods"
    split = [look["halves"]["latency/0.05"] for look in run["status"]["looks"] if "halves" in look]
    assert any(one[1] > 0 < one[3] for one in split), "in a second of its own, one pod may have had nothing"
    assert run["status"]["controls"].keys() == {metric["name"] for metric in method}
    code, text = await shop.command("explain", "web")
    assert code == 0
    assert "latency/1" in text


async def test_an_old_version_that_clients_hold_on_to_keeps_its_pods_until_they_are_gone(shop, traffic):
    await shop.given(judged(weight(50, atMost="2s"), drain={"quiet": "2s", "max": "2m"}))
    old = (await shop.status())["stableRevision"]
    traffic.stuck[old] = 20
    await shop.commit("2")
    await shop.until(lambda status: status.get("reason") == "Draining" and status["stableRevision"] != old)
    switched = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < switched + 8:
        assert (await shop.status())["reason"] == "Draining"
        assert await shop.kube.find(DEPLOYMENTS, shop.namespace, f"web-{old}") is not None
        await asyncio.sleep(0.5)
    traffic.stuck.clear()
    await shop.until_phase("Healthy")
    assert await shop.kube.find(DEPLOYMENTS, shop.namespace, f"web-{old}") is None


async def test_a_plan_asks_the_source_what_traffic_there_is(shop, traffic):
    await shop.given(judged(weight(10, atMost="10m")))
    plan = ("plan", shop.name, "--operator-namespace", shop.namespace)
    traffic.bad[(await shop.status())["stableRevision"]] = 0.02
    await asyncio.sleep(3)
    code, said = await shop.command(*plan, "--json")
    assert code == 0, said
    found = json.loads(said)
    # 200 requests/s for some seconds, spread over ten minutes; 10 % of them for ten minutes
    (row,) = found["rows"]
    assert 30 < row["canary_units"] < 600
    assert any("a doubled rate of " in sentence for sentence in found["advice"])


async def test_a_good_version_goes_on_unproven_and_that_is_recorded(shop, traffic):
    await shop.given(judged(weight(10, atMost="3s"), weight(50, atMost="3s")))
    stable = (await shop.status())["stableRevision"]
    traffic.bad.default_factory = lambda: 0.01
    await shop.commit("2")
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] != stable
    assert [item["step"] for item in done["unproven"]] == [0, 1]
    assert all("continued unproven" in item["message"] for item in done["unproven"])
    run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"web-{done['stableRevision']}-1")
    assert run["status"]["verdict"] == "promoted"
    assert {look["weight"] for look in run["status"]["looks"]} >= {10, 50}


async def test_an_outage_is_waited_for_and_the_clock_stands_still(shop, traffic, influx):
    await shop.given(judged(weight(10, atMost="5s")))
    await shop.commit("2")
    before = await shop.until(lambda status: status.get("weight") == 10)
    influx.stop()
    out = await shop.until(lambda status: status.get("reason") == "SourceOutage")
    assert (out["phase"], out["weight"]) == ("Waiting", 10)
    await asyncio.sleep(7)  # longer than atMost: time alone must not promote
    still = await shop.status()
    assert (still["reason"], still["weight"], still["canaryRevision"]) == ("SourceOutage", 10, before["canaryRevision"])
    influx.start()
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] == before["canaryRevision"]
    assert "rejected" not in done


async def test_a_version_that_is_bad_is_convicted_after_an_outage_too(shop, traffic, influx):
    await shop.given(judged(weight(10, atMost="60s")))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("weight") == 10))["canaryRevision"]
    influx.stop()
    await shop.until(lambda status: status.get("reason") == "SourceOutage")
    traffic.bad[canary] = 0.5
    influx.start()
    await shop.until_phase("RolledBack")
    assert await shop.shares() == {stable: 10000}


async def test_a_version_that_fails_everything_is_gone_before_its_first_look_ends(shop, traffic):
    await shop.given(judged(weight(10, atMost="60s"), interval="30s"))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    status = await shop.until(lambda status: status.get("canaryRevision"))
    traffic.bad[status["canaryRevision"]] = 1.0
    done = await shop.until_phase("RolledBack")
    assert done["reason"] == "AllBad"
    assert "errors: all " in done["message"]
    assert await shop.shares() == {stable: 10000}


async def test_a_canary_that_nobody_counts_waits_and_is_convicted_when_it_is_counted(shop, traffic):
    await shop.given(judged(weight(10, atMost="3s")))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("canaryRevision")))["canaryRevision"]
    traffic.uncounted.add(canary)
    traffic.bad[canary] = 0.5
    waiting = await shop.until(lambda status: status.get("reason") == "MetricsMissing")
    assert (waiting["phase"], waiting["weight"]) == ("Waiting", 10)
    assert "no units of the canary" in waiting["message"]
    await asyncio.sleep(5)  # more than atMost
    assert (await shop.status())["reason"] == "MetricsMissing"
    traffic.uncounted.clear()
    await shop.until_phase("RolledBack")
    assert await shop.shares() == {stable: 10000}


async def test_a_source_that_answers_and_has_nothing_waits_where_there_was_work_before(shop, traffic):
    await shop.given(judged(weight(10, atMost="3s")))
    await asyncio.sleep(5)  # work that is remembered
    traffic.silent = True
    await shop.commit("2")
    waiting = await shop.until(lambda status: status.get("reason") == "MetricsMissing")
    assert "no units at all" in waiting["message"]
    traffic.silent = False
    await shop.until_phase("Healthy")


async def test_without_traffic_nothing_is_promoted(shop, traffic):
    traffic.rate = 0
    await shop.given(judged(weight(10, atMost="2s")))
    await shop.commit("2")
    waiting = await shop.until(lambda status: status.get("reason") == "AwaitingTraffic")
    assert (waiting["phase"], waiting["weight"]) == ("Waiting", 10)
    assert (await shop.command("approve", "web"))[0] == 0
    await shop.until_phase("Healthy")


async def test_a_service_that_nobody_calls_is_not_taken_for_one_whose_metrics_are_dead(shop, traffic):
    source = await shop.kube.get(METRIC_SOURCES, shop.namespace, "default")
    query = 'SELECT count("count") FROM "alive" WHERE time >= {{ start }} AND time < {{ stop }}'
    source["spec"]["heartbeat"] = {"language": "influxql", "query": query, "maxAge": "2s"}
    await shop.kube.replace(METRIC_SOURCES, source)
    traffic.rate = 0
    await shop.given(judged(weight(10, atMost="2s")))
    await shop.commit("2")
    await shop.until(lambda status: status.get("reason") == "AwaitingTraffic")
    traffic.beats = False
    out = await shop.until(lambda status: status.get("reason") == "SourceOutage")
    assert (out["phase"], out["weight"]) == ("Waiting", 10)
    assert "heartbeat" in out["message"]
    traffic.beats = True
    await shop.until(lambda status: status.get("reason") == "AwaitingTraffic")


async def test_a_wrong_token_waits_and_a_mended_one_goes_on(shop, traffic, influx):
    await shop.given(judged(weight(10, atMost="2s")))
    await set_token(shop.kube, shop.namespace, "wrong")
    await shop.commit("2")
    waiting = await shop.until(lambda status: status.get("reason") == "SourceOutage")
    assert "wrong" not in waiting["message"], "what is taken for a token is never told"
    await set_token(shop.kube, shop.namespace, influx.token)
    await shop.until_phase("Healthy")


async def test_a_metric_nobody_knows_waits_before_any_weight(shop, traffic):
    await shop.given(judged(weight(10, atMost="2s")))
    await shop.edit(lambda body: body["spec"]["analysis"]["metrics"][0].update(template="nowhere"))
    await shop.commit("2")
    waiting = await shop.until(lambda status: status.get("reason") == "MetricInvalid")
    assert waiting["weight"] == 0
    assert "no MetricTemplate 'nowhere'" in waiting["message"]


async def test_a_killed_operator_goes_on_with_the_same_evidence(shop, traffic):
    await shop.given(judged(weight(10, atMost="5m"), advanced={"minUnits": 10}))
    stable = (await shop.status())["stableRevision"]
    shop.node.behave = lambda pod: "ready" if stable in pod["metadata"]["name"] else "unready"
    await shop.commit("2")
    await asyncio.sleep(12)  # in which it is learnt how late the counts are
    shop.node.behave = lambda _: "ready"
    canary = (await shop.until(lambda status: status.get("weight") == 10))["canaryRevision"]
    for _ in range(3):
        seen = await _looks(shop, canary)
        await until(partial(_more_looks, shop, canary, than=seen + 1), "more looks are made")
        shop.operator.kill()
        shop.operator.start()
    traffic.bad[canary] = 0.3
    await shop.until_phase("RolledBack")
    run = await shop.kube.get(ANALYSIS_RUNS, shop.namespace, f"web-{canary}-1")
    looks = run["status"]["looks"]
    assert run["spec"]["method"]["settle"] < 3, "learnt, and the same after each restart"
    assert run["status"]["late"] == {}
    assert _gaps(run) == []
    assert [look["n"] for look in looks] == list(range(1, len(looks) + 1))
    assert await shop.shares() == {stable: 10000}


async def _looks(shop: Shop, canary: str) -> int:
    run = await shop.kube.find(ANALYSIS_RUNS, shop.namespace, f"web-{canary}-1")
    return len((run or {}).get("status", {}).get("looks", []))


async def _more_looks(shop: Shop, canary: str, *, than: int) -> bool:
    return await _looks(shop, canary) > than


def _bakes_with_all_work(status: dict[str, Any]) -> bool:
    return status.get("phase") == "Baking" and not status.get("weightPending")


async def test_a_first_version_is_held_to_its_limits_and_not_trusted_when_it_breaks_them(shop, traffic):
    limit = {"name": "floor", "template": "http-errors", "limit": {"max": "5%"}}
    spec = judged(weight(10, atMost="2s"), metrics=[ERRORS, limit])
    await shop.kube.create(RELEASES, shop.namespace, spec | {"spec": {**spec["spec"], "bake": {"for": "6s"}}})
    first = (await shop.until(_bakes_with_all_work))["canaryRevision"]
    assert await shop.shares() == {first: 10000}
    traffic.bad[first] = 0.4
    broken = await shop.until(lambda status: status.get("reason") == "LimitExceeded")
    assert (broken["phase"], broken.get("stableRevision"), broken["weight"]) == ("Paused", None, 100)
    assert "where at most 5.00% are allowed" in broken["message"]
    code, text = await shop.command("wait", "web")
    assert code == 3, "a person has to decide"
    code, text = await shop.command("explain", "web")
    assert "next: commit a version that keeps to the limits" in text
    assert await shop.shares() == {first: 10000}, "nobody else could do it"
    await shop.commit("2")
    done = await shop.until_phase("Healthy")
    assert done["judged"] == "LimitsKept"
    assert await shop.shares() == {done["stableRevision"]: 10000}
    runs = {
        name: await shop.kube.get(ANALYSIS_RUNS, shop.namespace, name)
        for name in (f"web-{first}-1", f"web-{done['stableRevision']}-2")
    }
    assert [run["status"]["verdict"] for run in runs.values()] == ["superseded", "promoted"]
    assert all([metric["name"] for metric in run["spec"]["method"]["metrics"]] == ["floor"] for run in runs.values())
    assert all("stableRevision" not in run["spec"] for run in runs.values())


def _gaps(run):
    looks = run["status"]["looks"]
    return [(one["to"], other["from"]) for one, other in itertools.pairwise(looks) if one["to"] != other["from"]]
