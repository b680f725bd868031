"""A route in git that Flux's kustomize-controller applies while Pointsman splits it: who gives in, and for how long."""

import asyncio
import copy
import time
from typing import Any

import yaml

from controller.api.resources import EVENTS
from tests.beside import beside
from tests.e2e.patience import until
from tests.flux import SERVING, Flux
from tests.integration.operator_fixture import Shop
from tests.integration.test_flux import flux, flux_controller
from tests.integration.test_route_managers import CHANGED, ROUTE, backends, fields_of, finished, found, in_mid_release

__all__ = ["flux", "flux_controller"]

FLUX = "kustomize-controller"
SOON_S = 10.0
"""In which a split is back; one process among others of a test run, so it is more than is seen on an idle machine."""
MOST_LOOKS = 12
UNSPLIT = ["web"]
ONCE = {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}
ELSEWHERE: dict[str, Any] = {"hostnames": ["www.example.com"]}


def manifest(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, str]:
    route = copy.deepcopy(ROUTE)
    route["spec"] |= spec
    if annotations is not None:
        route["metadata"]["annotations"] = annotations
    return {"route.yaml": yaml.safe_dump(route)}


async def followed(flux: Flux, files: dict[str, str]) -> None:
    """What Flux looks at from now on, by itself only each ten minutes."""
    revision = await flux.commit(files)
    await flux.follow(SERVING)
    await flux.until_ready(revision)


async def applied(flux: Flux, files: dict[str, str]) -> None:
    await flux.until_ready(await flux.commit(files))


async def looked_again(flux: Flux) -> None:
    """It has compared the route with its commit once more, and has nothing to complain of."""
    wanted = await flux.look_again()
    await flux.until(
        lambda found, status: status.get("lastHandledReconcileAt") == wanted and found["Ready"]["status"] == "True"
    )


async def version(shop: Shop) -> str:
    return str((await found(shop))["metadata"]["resourceVersion"])


class Seen:
    """Where the route's first rule led, each time that it led elsewhere, and when."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.states: list[list[str]] = []
        self.at: list[float] = []

    async def watch(self) -> None:
        while True:
            led = backends(await found(self._shop))[0]
            if not self.states or self.states[-1] != led:
                self.states.append(led)
                self.at.append(time.monotonic())
            await asyncio.sleep(0.01)


async def test_flux_takes_a_split_back_and_pointsman_splits_the_route_again(shop, flux):
    """Neither fails, neither waits for the other, and what git says of all else holds in mid-release, too."""
    await followed(flux, manifest())
    before = fields_of(await found(shop))
    await in_mid_release(shop)
    wanted = backends(await found(shop))
    seen = Seen(shop)
    async with beside(seen.watch()):
        await until(lambda: seen.states, "the route is watched")
        await looked_again(flux)
        await until(lambda: len(seen.states) == 3, "the route is split again")
    assert seen.states == [wanted[0], UNSPLIT, wanted[0]]
    assert seen.at[2] - seen.at[1] < SOON_S
    status = await shop.status()
    assert (status["phase"], status["reason"]) == ("Paused", "AwaitingApproval")

    async def is_said() -> bool:
        said = [one.get("message", "") for one in await shop.kube.list(EVENTS, shop.namespace)]
        return f"the route was changed by hand ({FLUX}) and is put back" in said

    await until(is_said, "an event names Flux")

    await applied(flux, manifest(**ELSEWHERE))

    async def is_split_again() -> bool:
        return bool(backends(await found(shop)) == wanted)

    await until(is_split_again, "the route is split again", SOON_S)
    assert (await found(shop))["spec"]["hostnames"] == ELSEWHERE["hostnames"]

    await finished(shop)
    assert fields_of(await found(shop)) == before
    at_rest = await version(shop)
    await looked_again(flux)
    assert await version(shop) == at_rest, "there is nothing to take back"
    await applied(flux, manifest(rules=CHANGED))
    assert backends(await found(shop)) == [["web"], ["other"], ["c"]]
    assert fields_of(await found(shop)) == before


async def test_a_flux_that_looks_every_few_seconds_is_named_and_stable_serves(shop, flux):
    await followed(flux, manifest())
    await in_mid_release(shop)

    async def is_split_or_left() -> bool:
        return len(backends(await found(shop))[0]) == 2 or await is_contended()

    async def is_contended() -> bool:
        return "keeps changing the route" in (await shop.status())["message"]

    for _ in range(MOST_LOOKS):
        await looked_again(flux)
        await until(is_split_or_left, "it is split again, or not any longer", SOON_S)
        if await is_contended():
            break
    message = (await shop.status())["message"]
    assert f"another writer keeps changing the route (5 times in 60 s, last by '{FLUX}')" in message
    await looked_again(flux)
    assert backends(await found(shop))[0] == UNSPLIT


async def test_flux_leaves_a_route_alone_that_it_only_makes(shop, flux):
    """Also at rest, until the annotation is gone from the manifest; and it is not deleted with it."""
    await followed(flux, manifest(ONCE))
    await in_mid_release(shop)
    split = await version(shop)
    await looked_again(flux)
    await applied(flux, manifest(ONCE, **ELSEWHERE))
    assert await version(shop) == split
    await finished(shop)
    await applied(flux, manifest(**ELSEWHERE))
    assert (await found(shop))["spec"]["hostnames"] == ELSEWHERE["hostnames"]
    await applied(flux, manifest(ONCE))
    await looked_again(flux)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    await applied(flux, {"settings.yaml": yaml.safe_dump(settings)})
    assert backends(await found(shop))[0] == UNSPLIT
