"""Invariant 8: one tenant cannot stop the others.

For each thing that all share, a tenant fills or hangs it, and a neighbour's pass, effect, abort and look take what they
take without. With the protection out, they do not.
"""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from controller.api.resources import RELEASE_ACTIONS
from controller.effects import webhook
from controller.providers.rendering import Renderer
from controller.queue_share import ledger
from controller.queue_share.ledger import MOST_CLAIMS
from controller.queue_share.ports import Report
from controller.runtime import pending_actions
from controller.turns import Turns
from controller.workqueue import WorkQueue
from tests.unit.runtime.fake_client import Weather
from tests.unit.runtime.hanging import HANGS, passes_wait_for_answers
from tests.unit.runtime.tenants import JUDGED, TENANT, Burden, Gates, Street, Toll, toll_beside
from tests.unit.runtime.weathers import trouble

MANY = 60
REFUSED = 20
"""Releases of which no write is taken: without a back-off each has thousands of passes."""
SLACK_S = 1.0
SLACK_CALLS = 20_000
"""In one step of the loop: some milliseconds."""
SLACK_PASSES = 10
"""For each Release of the tenant."""
SLOW = "slow"


async def nothing(_: Street) -> None: ...


async def source_that_hangs(street: Street) -> None:
    names = street.names(MANY)
    await street.rest(names, *JUDGED, metrics=True, metric_template=HANGS)
    street.hangs = True
    street.commit(names)
    await street.until_all(names, lambda status: status.get("weight") == 20)
    await asyncio.sleep(7)  # each has a question there by now


async def webhooks_that_hang(street: Street) -> None:
    names = street.names(webhook.LIMITS.at_once + 10)
    await street.rest(names, {"webhook": {"url": "http://gate.qa/", "timeout": "60s"}}, {"weight": 20})
    street.commit(names)
    await street.until_all(names, lambda status: status.get("reason") == "AwaitingWebhook")
    await street.world.until(lambda: street.gates.hanging >= webhook.LIMITS.per_namespace)


async def absurd_reports(street: Street) -> None:
    operator = street.world.operators[0].operator
    assert operator is not None
    operator.allocators._clock = street.world.now
    operator.allocators._monotonic = asyncio.get_running_loop().time
    (name,) = names = street.names(1)
    await street.rest(names, {"weight": 20}, {"approve": {}}, traffic={"queue": {"ledger": {"http": {}}}}, service=None)
    stable = street.status(name)["stableRevision"]
    street.commit(names)
    await street.until_all(names, lambda status: status.get("reason") == "AwaitingApproval")
    canary, take = street.status(name)["canaryRevision"], operator.ledgers.take

    async def report() -> None:
        claims = 0
        for seq in range(1, 10_000):
            take(f"{TENANT}/{name}", Report("canary", canary, 0, seq))
            for consumer in range(50):
                take(f"{TENANT}/{name}", Report(f"stable.{consumer}", stable, claims, seq, MOST_CLAIMS))
            claims = min(MOST_CLAIMS, 10 * claims + 20_000)
            await asyncio.sleep(0.5)

    street.meanwhile(report())


async def thousands_of_actions(street: Street) -> Callable[[], None]:
    names = street.names(16)
    await street.rest(names, {"weight": 20}, {"approve": {}})

    def create() -> None:
        for number, name in itertools.product(range(250), names):
            spec = {"release": name, "action": "resume", "revision": "aaaaaaaaaa", "reason": "because"}
            street.world.create(RELEASE_ACTIONS, {"metadata": {"name": f"{name}-{number:04}"}, "spec": spec}, TENANT)

    return create


class RefusingTenants(Weather):
    """No write of a tenant's is taken, once it may."""

    refuses = False
    refused = 0

    async def serve(self, request, execute):
        if self.refuses and request.is_write and request.place.namespace == TENANT:
            self.refused += 1
            return await trouble((503, 409)[self.refused % 2], execute)
        return execute()


async def writes_refused(street: Street) -> None:
    names = street.names(REFUSED)
    await street.rest(names, {"weight": 20}, {"approve": {}})
    weather = street.world.weather
    assert isinstance(weather, RefusingTenants)
    weather.refuses = True
    street.commit(names)
    await street.world.until(lambda: weather.refused > REFUSED)


async def templates_without_end(street: Street) -> None:
    names = street.names(MANY)
    await street.rest(names, *JUDGED, metrics=True, metric_template=SLOW)
    street.commit(names)
    await street.until_all(names, lambda status: bool(status.get("canaryRevision")))


@dataclass(frozen=True)
class Shared:
    burden: Burden
    unprotected: Callable[[pytest.MonkeyPatch], None]
    """Takes out what protects the neighbours."""
    releases: int = MANY


def _a_namespace_may_have_all_places(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(webhook, "LIMITS", replace(webhook.LIMITS, per_namespace=webhook.LIMITS.at_once))


def _each_claim_counts(patch: pytest.MonkeyPatch) -> None:
    def one_by_one(left: list[tuple[int, str]], give: int) -> dict[str, int]:
        granted = {name: 0 for _, name in left}
        for _ in range(min(give, 10**5)):
            _, name = min((fewest + granted[name], name) for fewest, name in left)
            granted[name] += 1
        return granted

    patch.setattr(ledger, "MOST_NEW", 10**6)
    patch.setattr(ledger, "_levelled", one_by_one)


def _all_actions_are_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pending_actions, "MOST", 10**6)


def _no_back_off(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: WorkQueue[Any], key: Any, **_: Any) -> float:
        self.add_after(key, 0.5)
        return 0.5

    patch.setattr(WorkQueue, "add_failed", at_once)


def _no_turns(patch: pytest.MonkeyPatch) -> None:
    turn = Turns.turn
    patch.setattr(Turns, "turn", lambda self, _: turn(self, "all"))


SHARED = {
    "a metric source hangs": Shared(source_that_hangs, passes_wait_for_answers),
    "webhooks hang": Shared(webhooks_that_hang, _a_namespace_may_have_all_places),
    "a ledger has absurd reports": Shared(absurd_reports, _each_claim_counts),
    "thousands of actions": Shared(thousands_of_actions, _all_actions_are_read),
    "each write is refused": Shared(writes_refused, _no_back_off, REFUSED),
    "templates render for ever": Shared(templates_without_end, _no_turns),
}


async def _ask(_: Renderer, request: str) -> dict[str, Any]:
    """In place of its process, which takes no time of a clock that jumps."""
    slow = SLOW in request
    await asyncio.sleep(0.1 if slow else 0.005)
    return {"error": "needs more than 100 ms of processor time", "final": True} if slow else {"text": "from()"}


def toll(burden: Burden) -> Toll:
    random.seed(1)  # a watch that ends by chance just when the neighbour waits for it costs 2 s, whoever lives beside
    with pytest.MonkeyPatch.context() as patch:
        gates = Gates()
        patch.setattr(webhook, "create", lambda _: gates)
        patch.setattr(Renderer, "_ask", _ask)
        return toll_beside(burden, gates, RefusingTenants())


@cache
def toll_alone() -> Toll:
    return toll(nothing)


def _more(found: Toll, releases: int) -> dict[str, float]:
    """What it takes more than alone, where it is more than nothing."""
    alone = toll_alone()
    more = {name: took - alone.seconds[name] for name, took in found.seconds.items()}
    late = {name: seconds for name, seconds in more.items() if seconds > SLACK_S}
    passes, calls = found.passes - alone.passes, found.longest - alone.longest
    busy = {"passes": passes} if passes > SLACK_PASSES * releases else {}
    return late | busy | ({"calls": calls} if calls > SLACK_CALLS else {})


@pytest.mark.parametrize("what", SHARED)
def test_a_tenant_cannot_stop_the_others(what):
    shared = SHARED[what]
    assert _more(toll(shared.burden), shared.releases) == {}


@pytest.mark.parametrize("what", SHARED)
def test_without_its_protection_a_tenant_could(what, monkeypatch):
    """The negative control."""
    alone, shared = toll_alone(), SHARED[what]
    shared.unprotected(monkeypatch)
    try:
        found = _more(toll(shared.burden), shared.releases)
    except AssertionError as error:
        assert "not within" in str(error)  # noqa: PT017 - it was stopped for good
    else:
        assert found, f"nobody would notice: {alone} alone"
