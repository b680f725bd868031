"""spec.deletionPolicy from 0.1.0 to today's operator, and one version down: a Release that is deleted in mid-release
takes along what it has made, or leaves it, as its policy says. 0.1.0 obeys the policy with which an object was made,
and no change of it; today's policy of the API server refuses a deletion until Orphan is in force.
"""

import asyncio
from functools import partial

import pytest

from controller.api.names import RELEASE_LABEL
from controller.api.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    PODS,
    RELEASES,
    SERVICES,
)
from controller.kube.client import InvalidError
from tests.e2e.patience import until
from tests.integration.operator_fixture import pause, weight
from tests.integration.rights_fixture import install
from tests.integration.upgrade_fixture import pictures, plane, upgrade

__all__ = ["plane", "upgrade"]

pytestmark = [pytest.mark.upgrade, pytest.mark.timeout(600)]

MADE = (CONTROLLER_REVISIONS, CONFIG_MAPS, HTTP_ROUTES, DEPLOYMENTS, SERVICES)
CASCADE_ORPHAN = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"}
CONFIGURED = {
    "spec": {"containers": [{"name": "web", "image": "web:1", "envFrom": [{"configMapRef": {"name": "prompts"}}]}]}
}


async def in_mid_release(upgrade, **policies):
    """By the operator that leads: a Release of each name, whose canary has 40 % of the traffic."""
    made = await asyncio.gather(
        *(upgrade.given(name, weight(40), pause(900), **spec(policy)) for name, policy in policies.items())
    )
    for shop in made:
        await shop.until(pausing)
    return {shop.name: shop for shop in made}


def spec(policy):
    return {"deletionPolicy": policy} if policy else {}


def pausing(status):
    return status["reason"] == "Pausing" and status["weight"] == 40


async def set_policy(shop, policy):
    await shop.edit(lambda body: body["spec"].update(deletionPolicy=policy))
    await shop.until(pausing)


async def apply_current(upgrade):
    """CRDs, and the policy of the API server."""
    await upgrade.apply_current_crds()
    await install(upgrade.kube, "admission.yaml")


async def refused(upgrade, shop):
    """Until it is: the API server takes a moment to compile its policy."""
    try:
        await upgrade.kube.request("DELETE", RELEASES.path(upgrade.namespace, shop.name), query={"dryRun": "All"})
    except InvalidError as error:
        return f"Orphan of Release {shop.name} is not in force yet" in str(error)
    return False


async def in_force(*shops):
    for shop in shops:
        await shop.until(lambda status: status.get("deletionPolicy") == "Orphan")


async def delete(upgrade, *shops):
    for shop in shops:
        await upgrade.kube.delete(RELEASES, upgrade.namespace, shop.name)
    await gone(upgrade, *shops)


async def gone(upgrade, *shops):
    async def none_left():
        found = {item["metadata"]["name"] for item in await upgrade.kube.list(RELEASES, upgrade.namespace)}
        return not found & {shop.name for shop in shops}

    await until(none_left, "the Releases are gone")


async def made_for(upgrade, shop):
    """By kind and name; whose each is."""
    label, found = f"{RELEASE_LABEL}={shop.name}", {}
    for kind in MADE:
        for item in await upgrade.kube.list(kind, upgrade.namespace, labels=label):
            owners = item["metadata"].get("ownerReferences", [])
            found[f"{kind.kind} {item['metadata']['name']}"] = " ".join(owner["name"] for owner in owners)
    return found


async def owned_again(upgrade, shop, made):
    async def each_has_it():
        return await made_for(upgrade, shop) == dict.fromkeys(made, shop.name)

    await until(each_has_it, f"{shop.name} owns what was made for it")


async def taken_along(upgrade, *shops):
    """Nothing that was made for them is there; the garbage collector has done its work by then."""

    async def nothing_left():
        labels = f"{RELEASE_LABEL} in ({','.join(shop.name for shop in shops)})"
        left = [await upgrade.kube.list(kind, upgrade.namespace, labels=labels) for kind in (*MADE, PODS)]
        return not any(left)

    await until(nothing_left, "what was made is gone", 120)


async def left_as_it_was(upgrade, shop, picture, made):
    """Every object, without an owner; stable has all of the traffic."""
    assert await made_for(upgrade, shop) == dict.fromkeys(made, "")
    assert await upgrade.objects(shop) == picture.objects
    assert await shop.shares() == {picture.status["stableRevision"]: 10000}


async def test_a_release_of_before_that_is_deleted_in_mid_release_obeys_its_policy(upgrade):
    upgrade.earlier.start()
    shops = await in_mid_release(
        upgrade, kept="Orphan", late="", caught="", owned="", returned="Orphan", fallen="", plain="Delete"
    )
    kept, late, caught, owned, returned, fallen, plain = shops.values()
    await set_policy(late, "Orphan")
    await set_policy(caught, "Orphan")
    await set_policy(returned, "Delete")
    made = {name: await made_for(upgrade, shop) for name, shop in shops.items()}
    with_owner = {name for name, found in made.items() if all(found.values())}
    assert with_owner == {"late", "caught", "owned", "fallen", "plain"}
    before = await pictures(upgrade, shops)
    upgrade.earlier.kill()
    for shop in (caught, fallen):  # its finalizer holds it until an operator has moved its traffic
        assert not await upgrade.kube.delete(RELEASES, upgrade.namespace, shop.name)
    await apply_current(upgrade)
    for shop in (kept, late):
        await until(partial(refused, upgrade, shop), f"the deletion of {shop.name} is refused")
    upgrade.current.start()
    await gone(upgrade, caught, fallen)
    await upgrade.taken_over(kept, late, owned, returned, plain)
    await in_force(kept, late)
    assert await made_for(upgrade, owned) == made["owned"]
    await owned_again(upgrade, returned, made["returned"])
    taken_over = (kept, late, owned, returned, plain)
    still = await pictures(upgrade, {shop.name: shop for shop in taken_over})
    assert still == {name: before[name] for name in still}
    await delete(upgrade, kept, late)
    await delete(upgrade, owned, returned, plain)
    await taken_along(upgrade, owned, returned, plain, fallen)
    for shop in (kept, late, caught):
        await left_as_it_was(upgrade, shop, before[shop.name], made[shop.name])
    assert upgrade.current.alive
    assert "Traceback" not in upgrade.log


async def test_one_version_down_and_up_again_a_release_obeys_its_policy(upgrade):
    kube, namespace = upgrade.kube, upgrade.namespace
    upgrade.earlier.start()
    shops = await in_mid_release(upgrade, kept="Orphan", left="Orphan", late="", owned="", returned="Orphan")
    kept, left, late, owned, returned = shops.values()
    assert upgrade.earlier.stop() == 0
    await apply_current(upgrade)
    upgrade.current.start()
    await upgrade.taken_over(*shops.values())
    await in_force(kept, left, returned)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"tone": "polite"}}
    await kube.create(CONFIG_MAPS, namespace, config)
    newer = await asyncio.gather(
        upgrade.given("new", weight(40), pause(900), version="", template=CONFIGURED),
        upgrade.given("new-left", weight(40), pause(900), version="", template=CONFIGURED, deletionPolicy="Orphan"),
    )
    new, new_left = newer
    await in_force(new_left)
    before = await pictures(upgrade, shops)
    made = {name: await made_for(upgrade, shop) for name, shop in shops.items()}
    assert upgrade.current.stop() == 0
    upgrade.earlier.start()
    await upgrade.taken_back(*shops.values(), *newer)
    await upgrade.touched(*shops.values())
    for shop in newer:  # under another name, beside the version that today's operator has made
        await shop.until(pausing)
    assert await pictures(upgrade, shops) == before
    # what 0.1.0 does not say to be in force is deleted by the garbage collector's own way alone
    new_objects, new_made = await upgrade.picture(new_left), await made_for(upgrade, new_left)
    assert [name for name in new_made if name.startswith("ConfigMap")]
    await set_policy(late, "Orphan")
    for shop in (kept, left, late, new_left):
        await until(partial(refused, upgrade, shop), f"the deletion of {shop.name} is refused")
    for shop in (left, new_left):
        await kube.request("DELETE", RELEASES.path(namespace, shop.name), body=CASCADE_ORPHAN)
    await gone(upgrade, left, new_left)
    await delete(upgrade, owned, new)
    await taken_along(upgrade, owned, new)
    await left_as_it_was(upgrade, left, before["left"], made["left"])
    await left_as_it_was(upgrade, new_left, new_objects, new_made)
    await set_policy(returned, "Delete")
    assert upgrade.earlier.alive
    assert upgrade.earlier.stop() == 0
    upgrade.current.start()
    await upgrade.taken_over(kept, late, returned)
    await in_force(kept, late)
    still = await pictures(upgrade, {shop.name: shop for shop in (kept, late, returned)})
    assert still == {name: before[name] for name in still}
    await owned_again(upgrade, returned, made["returned"])
    await delete(upgrade, kept, late)
    await delete(upgrade, returned)
    await taken_along(upgrade, returned)
    for shop in (kept, late):
        await left_as_it_was(upgrade, shop, before[shop.name], made[shop.name])
    assert "Traceback" not in upgrade.log
