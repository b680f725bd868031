"""The optional policies on a real API server: whose host names and Gateways, and approve steps in a rollout."""

import asyncio
from copy import deepcopy

import pytest

from controller.api.resources import NAMESPACES, RELEASES
from controller.kube.client import InvalidError
from tests.integration.operator_fixture import APPROVE, pause, release, set_version, weight
from tests.integration.rights_fixture import bind, connected, control_plane, install

HOSTNAMES, GATEWAYS = "pointsman.dev/allowed-hostnames", "pointsman.dev/allowed-gateways"
PUBLIC = {"name": "public", "namespace": "gateways"}
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
OUT = {"phase": "Paused", "stableRevision": STABLE, "canaryRevision": CANARY, "step": 1}


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("policies")) as running:
        yield running


@pytest.fixture
async def admin(plane):
    async with connected(plane, "admin", group="system:masters") as kube:
        await install(kube, "roles-people.yaml")
        yield kube


@pytest.fixture
async def edda(plane, admin):
    """May edit, and not approve."""
    await bind(admin, {"edda": ["pointsman-edit", "pointsman-operate"]})
    async with connected(plane, "edda") as kube:
        yield kube


@pytest.fixture
async def ella(plane, admin):
    """May edit and approve."""
    await bind(admin, {"ella": ["pointsman-edit", "pointsman-approve"]})
    async with connected(plane, "ella") as kube:
        yield kube


@pytest.fixture
async def shop(admin, edda):
    """A namespace whose host names and Gateways are listed, and the policy."""
    if await admin.find(NAMESPACES, None, "shop") is None:
        noted = {HOSTNAMES: "shop.example.com,\n *.shop.example.com", GATEWAYS: "gateways/public, shop/*"}
        metadata = {"name": "shop", "annotations": noted}
        await admin.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await bind(admin, {"edda": ["pointsman-edit"], "nils": ["edit", "admin"]}, namespace="shop")
        await _route(edda, hostnames=["bank.example.com"])  # the control: without the policy it is taken
        await install(admin, "routes/policy.yaml")
    await _until_refused(_route, edda, hostnames=["bank.example.com"])
    return edda


@pytest.fixture
async def web(admin, edda):
    """A Release with a canary that waits for approval, in a cluster with the policy. Gives a way to edit its steps."""
    steps = [weight(10), APPROVE, weight(50), APPROVE]
    body = release(*steps, traffic={"replicas": {}})
    if await admin.find(RELEASES, "default", "web") is None:
        await admin.create(RELEASES, "default", body)
        await _set_status(admin, OUT)
        await _edit(edda, steps=[weight(10), weight(50)])  # the control
        await install(admin, "approvals/policy.yaml")
    await _set_status(admin, {**OUT, "canaryRevision": None})
    await _edit(admin, steps=steps)
    await _set_status(admin, OUT)
    await _until_refused(_edit, edda, steps=[weight(10)], dry=True)
    return edda


async def _until_refused(do, *arguments, **options):
    """A policy takes a moment until the API server has compiled it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await do(*arguments, **options)
            except InvalidError:
                return
            await asyncio.sleep(0.1)


async def _route(kube, *, namespace="shop", parents=(PUBLIC,), router="gatewayAPI", **more):
    body = release(weight(10), traffic={router: {"parentRefs": list(parents), **more}})
    return await kube.request("POST", RELEASES.path(namespace), body=body, query={"dryRun": "All"})


async def _set_status(admin, status):
    await admin.patch(RELEASES, "default", "web", {"status": status}, "status")


async def _edit(kube, *, steps=None, version="", dry=False, **spec):
    """Read as it is and written in full, as `kubectl edit` does."""
    body = deepcopy(await kube.get(RELEASES, "default", "web"))
    body["spec"] |= spec
    if steps is not None:
        body["spec"]["strategy"] = {"canary": {"steps": steps}}
    if version:
        set_version(body, version)
    query = {"dryRun": "All"} if dry else {}
    return await kube.request("PUT", RELEASES.path("default", "web"), body=body, query=query)


@pytest.mark.parametrize(
    "host", ["shop.example.com", "a.shop.example.com", "a.b.shop.example.com", "*.shop.example.com"]
)
async def test_a_namespace_uses_the_host_names_it_is_given(shop, host):
    await _route(shop, hostnames=[host])


@pytest.mark.parametrize("host", ["bank.example.com", "ashop.example.com", "*.example.com", "example.com", "*.com"])
async def test_a_host_name_of_somebody_else_is_refused(shop, host):
    with pytest.raises(InvalidError, match="namespace shop may not use ") as refused:
        await _route(shop, hostnames=["shop.example.com", host])
    said = f"may not use {host}: take a name of its annotation {HOSTNAMES}, or ask who runs the platform to add this"
    assert said in str(refused.value)


async def test_a_route_that_is_there_already_has_the_host_names_that_its_writer_was_allowed(shop):
    body = release(weight(10), traffic={"gatewayAPI": {"route": {"name": "public"}}})
    await shop.request("POST", RELEASES.path("shop"), body=body, query={"dryRun": "All"})


@pytest.mark.parametrize("router", ["gatewayAPI", "traefik"])
async def test_every_router_that_takes_host_names_is_held_to_the_list(shop, router):
    await _route(shop, router=router, hostnames=["shop.example.com"])
    with pytest.raises(InvalidError, match=f"spec.traffic.{router}.hostnames: namespace shop may not use "):
        await _route(shop, router=router, hostnames=["bank.example.com"])
    with pytest.raises(InvalidError, match=f"spec.traffic.{router}.parentRefs: namespace shop may not use "):
        await _route(
            shop, router=router, hostnames=["shop.example.com"], parents=[{"name": "inner"}, PUBLIC | {"name": "x"}]
        )
    with pytest.raises(InvalidError, match=r"hostnames of spec\.traffic is empty"):
        await _route(shop, router=router)


async def test_no_host_name_would_be_every_one(shop):
    with pytest.raises(
        InvalidError, match=r"hostnames of spec\.traffic is empty, which is every host name of the Gateway"
    ):
        await _route(shop)
    with pytest.raises(
        InvalidError, match=r"hostnames of spec\.traffic is empty, which is every host name of the Gateway"
    ):
        await _route(shop, hostnames=[])


@pytest.mark.parametrize("parent", [PUBLIC, {"name": "own"}, {"name": "own", "namespace": "shop", "kind": "Gateway"}])
async def test_a_namespace_uses_the_gateways_it_is_given(shop, parent):
    await _route(shop, parents=[parent], hostnames=["shop.example.com"])


@pytest.mark.parametrize(
    ("parent", "named"),
    [
        ({"name": "public", "namespace": "bank"}, "bank/public"),
        ({"name": "inner", "namespace": "gateways"}, "gateways/inner"),
        ({"name": "own", "kind": "Service", "group": ""}, "Service/shop/own"),
        ({**PUBLIC, "group": "example.com"}, "Gateway.example.com/gateways/public"),
        ({**PUBLIC, "kind": "ListenerSet"}, "ListenerSet.gateway.networking.k8s.io/gateways/public"),
    ],
)
async def test_a_gateway_of_somebody_else_is_refused(shop, parent, named):
    with pytest.raises(InvalidError, match="namespace shop may not use ") as refused:
        await _route(shop, parents=[PUBLIC, parent], hostnames=["shop.example.com"])
    assert f"may not use {named}: name a Gateway of its annotation {GATEWAYS}" in str(refused.value)


async def test_a_namespace_without_lists_uses_none_and_other_routers_are_free(shop):
    with pytest.raises(InvalidError, match="namespace default may not use gateways/public"):
        await _route(shop, namespace="default", hostnames=["shop.example.com"])
    body = release(weight(10), traffic={"replicas": {}})
    await shop.request("POST", RELEASES.path("default"), body=body, query={"dryRun": "All"})


async def test_a_star_gives_everything(admin, shop):
    try:
        await _annotate(admin, {HOSTNAMES: "*", GATEWAYS: "*"})
        await _until_taken(_route, shop, parents=[{"name": "x", "namespace": "bank"}])
    finally:
        await _annotate(admin, {HOSTNAMES: "shop.example.com, *.shop.example.com", GATEWAYS: "gateways/public, shop/*"})
        await _until_refused(_route, shop, hostnames=["bank.example.com"])


async def test_a_route_from_before_stays_until_it_changes(admin, shop):
    """Also the operator writes the Release: its finalizer."""
    body = release(weight(10), traffic={"gatewayAPI": {"parentRefs": [PUBLIC], "hostnames": ["old.shop.example.com"]}})
    await shop.create(RELEASES, "shop", body)
    try:
        await _annotate(admin, {HOSTNAMES: "new.example.com"})
        await _until_refused(_route, shop, hostnames=["old.shop.example.com"])
        await shop.patch(RELEASES, "shop", "web", {"metadata": {"finalizers": ["pointsman.dev/traffic"]}})
        await shop.patch(RELEASES, "shop", "web", {"spec": {"replicas": 3}})
        changed = {"spec": {"traffic": {"gatewayAPI": {"hostnames": ["old.shop.example.com", "x.shop.example.com"]}}}}
        with pytest.raises(InvalidError, match=r"may not use old\.shop\.example\.com"):
            await shop.patch(RELEASES, "shop", "web", changed)
        await shop.patch(RELEASES, "shop", "web", {"metadata": {"finalizers": None}})
    finally:
        await _annotate(admin, {HOSTNAMES: "shop.example.com, *.shop.example.com"})
        await admin.delete(RELEASES, "shop", "web")
        await _until_taken(_route, shop, hostnames=["shop.example.com"])


async def test_who_edits_in_a_namespace_gives_it_nothing(plane, shop):
    for user in ("edda", "nils"):
        async with connected(plane, user) as kube:
            with pytest.raises(InvalidError, match="cannot patch resource"):
                await _annotate(kube, {HOSTNAMES: "*"})


async def test_the_largest_route_and_long_lists_are_within_the_budget(admin, shop):
    """Of CEL: what is over it would be refused whatever it says."""
    names = [f"{number}.{'x' * 40}.example.com" for number in range(500)]
    gateways = [f"gateways-{number}/public" for number in range(200)]
    try:
        await _annotate(admin, {HOSTNAMES: ",".join(names), GATEWAYS: ",".join(gateways)})
        parents = [{"name": "public", "namespace": f"gateways-{number}"} for number in range(168, 200)]
        await _until_taken(_route, shop, parents=parents, hostnames=names[-16:])
    finally:
        await _annotate(admin, {HOSTNAMES: "shop.example.com, *.shop.example.com", GATEWAYS: "gateways/public, shop/*"})
        await _until_taken(_route, shop, hostnames=["shop.example.com"])


async def _annotate(kube, values):
    await kube.patch(NAMESPACES, None, "shop", {"metadata": {"annotations": values}})


async def _until_taken(do, *arguments, **options):
    """The API server reads the Namespace from a cache."""
    async with asyncio.timeout(30):
        while True:
            try:
                await do(*arguments, **options)
            except InvalidError as error:
                last = error
            else:
                return
            await asyncio.sleep(0.1)
            assert "budget" not in str(last)


TAKEN_AWAY = {
    "both": ([weight(10), weight(50)], 2),
    "the last": ([weight(10), APPROVE, weight(50)], 4),
    "the first": ([weight(10), weight(50), weight(50), APPROVE], 2),
    "put before the step in force": ([APPROVE, weight(10), weight(50), APPROVE], 2),
    "put at the end": ([weight(10), weight(50), APPROVE, APPROVE], 2),
    "a pause instead": ([weight(10), pause(1), weight(50), APPROVE], 2),
    "everything": ([], 2),
}


@pytest.mark.parametrize("how", TAKEN_AWAY)
async def test_who_may_not_approve_takes_no_approve_step_away_in_mid_release(web, how):
    steps, step = TAKEN_AWAY[how]
    with pytest.raises(InvalidError, match="may not move or remove approve") as refused:
        await _edit(web, steps=steps)
    said = str(refused.value)
    assert f"edda may not move or remove approve, step {step}, while canary {CANARY} is out: put it back" in said
    assert "pointsman abort web -n default --reason TEXT" in said
    assert "ClusterRole pointsman-approve" in said


async def test_nor_with_the_next_version_in_the_same_edit(web):
    with pytest.raises(InvalidError, match="may not move or remove approve"):
        await _edit(web, steps=[weight(10)], version="3")


@pytest.mark.parametrize("more", [100, "11%", "10.5%"])
async def test_nor_gives_the_canary_more_before_it_is_approved(web, more):
    for steps in (
        [{"weight": more}, APPROVE, {"weight": 100}, APPROVE],
        [weight(10), APPROVE, {"weight": "51%"}, APPROVE],
    ):
        with pytest.raises(InvalidError, match="which is before approve, more weight while canary"):
            await _edit(web, steps=steps)


@pytest.mark.parametrize(
    "steps",
    [
        [weight(10), APPROVE, weight(50), APPROVE, weight(90)],
        [weight(10), APPROVE, weight(20), APPROVE, APPROVE],
        [{"weight": "10%"}, APPROVE, {"weight": "49.5%"}, APPROVE],
        [weight(5), APPROVE, pause(1), APPROVE],
    ],
)
async def test_other_edits_of_the_steps_are_free(web, steps):
    await _edit(web, steps=steps)


async def test_edits_of_anything_else_are_free(web):
    await _edit(web, version="3")
    await _edit(web, replicas=4)
    await web.patch(RELEASES, "default", "web", {"metadata": {"annotations": {"pointsman.dev/retry": CANARY}}})


async def test_who_may_approve_may_take_the_step_away(web, ella):
    await _edit(ella, steps=[weight(10), weight(100)])


@pytest.mark.parametrize("status", [{"canaryRevision": None}, {"canaryRevision": STABLE}, {"stableRevision": None}])
async def test_at_rest_the_steps_are_those_of_whoever_edits(admin, web, status):
    await _set_status(admin, OUT | status)
    await _edit(web, steps=[weight(10)])


async def test_fifty_steps_are_within_the_budget(admin, web):
    steps = [item for number in range(25) for item in (weight(number + 1), APPROVE)]
    await _edit(admin, steps=steps)
    with pytest.raises(InvalidError, match="may not move or remove approve, step 50,"):
        await _edit(web, steps=[*steps[:49], weight(25)])
    with pytest.raises(InvalidError, match="may not give step 49, which is before approve, more weight"):
        await _edit(web, steps=[*steps[:48], weight(26), APPROVE])
