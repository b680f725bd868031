"""Who may ask for what: the shipped roles and admission policies on a real API server, with users of their own."""

import asyncio
from contextlib import suppress

import pytest

from controller.api.resources import METRIC_TEMPLATES, RELEASE_ACTIONS, RELEASES
from controller.kube.client import InvalidError, UnavailableError
from tests.integration.operator_fixture import APPROVE, release, weight
from tests.integration.rights_fixture import bind, command, connected, control_plane, install

USERS = {
    "vera": ["pointsman-view"],
    "olaf": ["pointsman-operate"],
    "anna": ["pointsman-approve"],
    "edda": ["pointsman-edit"],
    "sara": ["pointsman-operate", "pointsman-approve"],
    "nora": [],
    "nils": ["edit"],
    "vito": ["view"],
}
STOPPING = ("abort", "rollback", "pause", "resume", "retry")
LETTING = ("approve", "skip")
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
VERBS = {"create", "update", "patch", "delete", "deletecollection"}
NOW = "2026-11-29T12:00:00Z"


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("rights")) as running:
        yield running


@pytest.fixture
async def admin(plane):
    async with connected(plane, "admin", group="system:masters") as kube:
        yield kube


@pytest.fixture
async def rights(plane, admin):
    """Roles and policies as they are shipped, bound in namespace default."""
    await install(admin, "roles-people.yaml", "admission.yaml")
    await bind(admin, USERS)
    await _until_refused(admin)
    await _until_aggregated(plane)
    return plane


@pytest.fixture
async def web(rights, admin):
    """A Release whose canary waits for a person; no operator is there, so nothing changes it."""
    body = await admin.create(RELEASES, "default", release(weight(10), APPROVE))
    status = {"phase": "Paused", "stableRevision": STABLE, "canaryRevision": CANARY}
    status["observedGeneration"] = body["metadata"]["generation"]
    yield await admin.patch(RELEASES, "default", "web", {"status": status}, "status")
    await admin.delete(RELEASES, "default", body["metadata"]["name"])
    for action in await admin.list(RELEASE_ACTIONS, "default"):
        await admin.delete(RELEASE_ACTIONS, "default", action["metadata"]["name"])


async def _until_refused(admin):
    """A policy takes a moment until the API server has compiled it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await _ask(admin, "approve", by="somebody else", dry=True)
            except InvalidError:
                return
            await asyncio.sleep(0.1)


async def _until_aggregated(plane):
    """The controller manager puts what the labels ask for into `edit` and `view`."""
    async with connected(plane, "nils") as nils, connected(plane, "vito") as vito, asyncio.timeout(30):
        while True:
            try:
                await _ask(nils, "pause", by="nils")
                await vito.list(RELEASES, "default")
            except InvalidError:
                await asyncio.sleep(0.1)
            else:
                return


async def _ask(kube, action, *, by="", dry=True):
    spec = {"release": "web", "revision": "aaaaaaaaaa", "action": action, "reason": "why not"}
    body = {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"generateName": "try-"},
        "spec": spec | ({"requestedBy": by} if by else {}),
    }
    query = {"dryRun": "All"} if dry else {}
    return await kube.request("POST", RELEASE_ACTIONS.path("default"), body=body, query=query)


async def _may(plane, user, actions):
    async with connected(plane, user) as kube:
        allowed = set()
        for action in actions:
            with suppress(InvalidError):
                await _ask(kube, action, by=user)
                allowed.add(action)
        return allowed


async def test_each_role_may_ask_for_what_it_is_for(rights):
    everything = {*STOPPING, *LETTING, "promote"}
    assert await _may(rights, "vera", everything) == set()
    assert await _may(rights, "nora", everything) == set()
    assert await _may(rights, "edda", everything) == set()
    assert await _may(rights, "vito", everything) == set()
    assert await _may(rights, "nils", everything) == set(STOPPING)
    assert await _may(rights, "olaf", everything) == set(STOPPING)
    assert await _may(rights, "anna", everything) == set(LETTING)
    assert await _may(rights, "sara", everything) == everything


async def _writes(plane, user):
    """Which kinds somebody may create, change, scale and delete, as the API server says."""
    kinds = {"releases": VERBS, "metrictemplates": VERBS, "metricsources": VERBS, "analysisruns": VERBS}
    kinds |= {"releases/scale": {"update", "patch"}, "releases/status": {"update", "patch"}}
    kinds |= {"releaseactions": VERBS - {"create"}, "releaseactions/status": {"update", "patch"}}
    async with connected(plane, user) as kube:
        return {(kind, verb) for kind, verbs in kinds.items() for verb in verbs if await _allowed(kube, kind, verb)}


async def _allowed(kube, kind, verb):
    resource, _, subresource = kind.partition("/")
    of = {"namespace": "default", "verb": verb, "group": "pointsman.dev"}
    of |= {"resource": resource, "subresource": subresource}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    review = await kube.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body=body | {"spec": {"resourceAttributes": of}},
    )
    return review["status"]["allowed"]


@pytest.mark.parametrize("user", ["vera", "olaf", "anna", "sara", "nora", "nils", "vito"])
async def test_acting_writes_no_release(rights, user):
    """A Release is pods with any ServiceAccount, and an HTTPRoute on a shared Gateway."""
    assert await _writes(rights, user) == set()
    async with connected(rights, user) as kube:
        for resource in (RELEASES, METRIC_TEMPLATES):
            with pytest.raises(InvalidError, match="cannot create resource"):
                await kube.request("POST", resource.path("default"), body={}, query={"dryRun": "All"})


async def test_editing_writes_releases_and_asks_for_nothing(rights):
    wanted = {(kind, verb) for kind in ("releases", "metrictemplates") for verb in VERBS - {"deletecollection"}}
    assert await _writes(rights, "edda") == wanted | {("releases/scale", "update"), ("releases/scale", "patch")}
    async with connected(rights, "edda") as kube:
        body = release(weight(10), APPROVE)
        await kube.request("POST", RELEASES.path("default"), body=body, query={"dryRun": "All"})
        with pytest.raises(InvalidError, match="cannot create resource"):
            await _ask(kube, "abort", by="edda")


@pytest.mark.parametrize("user", ["vera", "olaf", "anna", "edda"])
async def test_everybody_with_a_role_reads(rights, web, user):
    for arguments in (["get"], ["explain", "web"], ["watch", "web", "--until-done"]):
        code, text = await command(rights, user, *arguments)
        assert "Paused" in text, text
        assert code in {0, 3}
    code, text = await command(rights, user, "plan", "web", "--rate", "100", "--base", "1%")
    assert code == 0, text


@pytest.mark.parametrize(("user", "arguments"), [("olaf", ["abort", "--reason", "no"]), ("anna", ["approve"])])
async def test_a_command_of_ones_role_is_heard(rights, admin, web, user, arguments):
    verb, *rest = arguments
    async with asyncio.TaskGroup() as group:
        group.create_task(_answer(admin))
        code, text = await command(rights, user, verb, "web", *rest)
    assert (code, text) == (0, f"web: heard {verb} by {user}\n")


@pytest.mark.parametrize(
    ("user", "arguments", "roles"),
    [
        ("vera", ["abort", "--reason", "no"], "pointsman-operate"),
        ("edda", ["pause"], "pointsman-operate"),
        ("edda", ["retry", STABLE], "pointsman-operate"),
        ("vera", ["approve"], "pointsman-approve"),
        ("vera", ["promote", "--full", "--reason", "now"], "pointsman-operate and pointsman-approve"),
    ],
)
async def test_a_command_without_its_role_names_the_role(rights, web, user, arguments, roles):
    verb, *rest = arguments
    code, text = await command(rights, user, verb, "web", *rest)
    said = f"pointsman: {user} may not {verb} web in namespace default: that needs ClusterRole {roles} there\n"
    assert (code, text) == (1, said)


async def test_a_command_the_policy_refuses_says_what_the_policy_says(rights, web):
    code, text = await command(rights, "olaf", "approve", "web")
    assert code == 1
    assert "olaf may not approve web: it needs the verb approve" in text


async def _answer(admin):
    """As the operator does."""
    async with asyncio.timeout(30):
        while not (asked := await admin.list(RELEASE_ACTIONS, "default")):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    (action,) = asked
    name, spec = action["metadata"]["name"], action["spec"]
    answer = {"result": "Accepted", "message": f"heard {spec['action']} by {spec['requestedBy']}", "at": NOW}
    await admin.patch(RELEASE_ACTIONS, "default", name, {"status": answer}, "status")


async def test_a_refusal_names_the_right_that_is_missing(rights):
    async with connected(rights, "olaf") as kube:
        with pytest.raises(InvalidError, match=r"olaf may not approve web: it needs the verb approve") as refused:
            await _ask(kube, "approve", by="olaf")
        assert "ClusterRole pointsman-approve" in str(refused.value)


@pytest.mark.parametrize("by", ["anna", "system:admin"])
async def test_nobody_speaks_for_somebody_else(rights, by):
    async with connected(rights, "sara") as kube:
        with pytest.raises(InvalidError, match=r"spec\.requestedBy has to be sara, who asks"):
            await _ask(kube, "pause", by=by)


async def test_a_right_in_one_namespace_is_none_in_another(rights):
    async with connected(rights, "sara") as kube:
        with pytest.raises(InvalidError, match="forbidden"):
            await kube.create(RELEASE_ACTIONS, "kube-public", {"metadata": {"name": "x"}, "spec": {}})


async def test_approving_gives_no_right_to_edit_a_release(rights):
    async with connected(rights, "anna") as kube:
        with pytest.raises(InvalidError, match="cannot create resource"):
            await kube.request("POST", "/apis/pointsman.dev/v1alpha1/namespaces/default/releases", body={})


async def test_the_author_is_filled_in_where_the_cluster_can(rights, admin):
    async with connected(rights, "sara") as kube:
        with pytest.raises(InvalidError, match="has to be sara"):
            await _ask(kube, "pause")
        await install(admin, "author/policy.yaml")
        async with asyncio.timeout(30):
            while True:
                try:
                    made = await _ask(kube, "pause")
                except (InvalidError, UnavailableError):  # its plugin may not have heard of the kind yet
                    await asyncio.sleep(0.1)
                else:
                    break
        assert made["spec"]["requestedBy"] == "sara"
        with pytest.raises(InvalidError, match="has to be sara"):
            await _ask(kube, "pause", by="anna")
