"""A node freezes or is drained, or the API server dies, in mid-release: it goes on or waits, and stable serves."""

import time

import yaml

from hack.install import CHECKOUT, SUBJECT
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, pause, weight
from tests.kind.nodes import HOSTNAME
from tests.kind.watching import weights_of

_TAKEN_OVER_S = 30.0
_PATIENCE_S = 180.0
_NOTICED_S = 150.0
"""A node that says nothing is given up after 50 s."""
_STEPS = (weight(20), pause(6), weight(50), pause(6))


def template_at(node):
    """The subject's, for pods on this node alone."""
    template = yaml.safe_load((CHECKOUT / SUBJECT / "release.yaml").read_text())["spec"]["template"]
    template["spec"]["nodeSelector"] = {HOSTNAME: node}
    return template


async def test_the_other_operator_takes_over_when_the_leaders_node_freezes_and_no_step_happens_twice(
    shop, nodes, operator_pod, measured
):
    leader, node = await nodes.leader()
    elsewhere = template_at(nodes.other(node))
    await shop.given(*_STEPS, template=elsewhere, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    async with shop.load(rate=50, fresh=0.3) as load, weights_of(shop) as weights:
        await shop.commit(VERSION="2")
        second = await shop.until_weight(20)
        frozen = time.monotonic()
        async with nodes.frozen(node):
            await operator_pod.until_another_leads(leader)
            taken_over = time.monotonic() - frozen
            done = await shop.until_phase("Healthy", seconds=_PATIENCE_S)
        counted = await load.stop()
    measured("taken_over_s", round(taken_over, 1))
    measured("weights", weights)
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert done["stableRevision"] == second
    assert taken_over < _TAKEN_OVER_S
    assert _in_order(weights), weights
    assert counted.failed == 0


async def test_a_canary_whose_node_freezes_gives_its_work_to_stable_and_goes_on_when_it_is_back(shop, nodes, measured):
    _, safe = await nodes.leader()
    lost = nodes.other(safe)
    stable = await shop.given(
        weight(50), pause(600), template=template_at(safe), analysis=NOT_JUDGED, drain=SHORT_DRAIN
    )
    async with shop.load(rate=50, fresh=0.3) as load:
        await shop.edit(lambda release: release["spec"].update(template=template_at(lost)))
        canary = await shop.until_weight(50)
        await shop.until_answered_by(load, canary)
        began = time.monotonic()
        async with nodes.frozen(lost):
            await until(lambda: _all_at(shop, stable), "stable has all the work", _NOTICED_S)
            moved = time.monotonic() - began
            served = load.snapshot().revisions[stable].answers
            await shop.until_answered_by(load, stable, served + 200)
        await shop.moment_with_shares({stable: 5_000, canary: 5_000})
        await shop.until_answered_by(load, canary, load.snapshot().revisions[canary].answers + 20)
        counted = await load.stop()
    measured("at_stable_after_s", round(moved, 1))
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert counted.revisions[stable].bad == 0


async def _all_at(shop, revision):
    return await shop.shares() == {revision: 10_000}


async def test_a_node_is_drained_while_a_release_waits_for_a_person_and_no_request_is_lost(shop, nodes, measured):
    stable = await shop.given(
        weight(20), pause(6), weight(50), APPROVE, analysis=NOT_JUDGED, drain=SHORT_DRAIN, replicas=4
    )
    async with shop.load(rate=50, fresh=0.3, retrying=True) as load, weights_of(shop) as weights:
        await shop.commit(VERSION="2")
        canary = await shop.until_weight(20)
        await shop.until_phase("Paused", seconds=_PATIENCE_S)
        async with nodes.drained(nodes.workers[0]):
            await shop.ask("approve")
            done = await shop.until_phase("Healthy", seconds=_PATIENCE_S)
        counted = await load.stop()
    measured("weights", weights)
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert done["stableRevision"] == canary != stable
    assert _in_order(weights), weights
    assert counted.failed == 0


async def test_an_api_server_that_dies_in_mid_release_is_waited_for(shop, nodes, measured):
    stable = await shop.given(*_STEPS, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    async with shop.load(rate=50, fresh=0.3) as load, weights_of(shop) as weights:
        await shop.commit(VERSION="2")
        canary = await shop.until_weight(20)
        await nodes.kill_api_server()
        await until(lambda: weights[-1:] != [20], "the release goes on", _PATIENCE_S)
        done = await shop.until_phase("Healthy", seconds=_PATIENCE_S)
        counted = await load.stop()
    measured("weights", weights)
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert done["stableRevision"] == canary != stable
    assert _in_order(weights), weights
    assert counted.failed == 0


def _in_order(weights):
    """No weight comes a second time once a greater one was there, until the release is over."""
    rising = [weight for weight in weights if weight]
    return rising == sorted(set(rising))
