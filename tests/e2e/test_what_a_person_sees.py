"""kubectl and pointsman at a terminal, against the real cluster: columns, waiting, scaling, exit codes."""

import asyncio
import json

import pytest

from controller.api.release import NAME_MOST
from controller.api.resources import EVENTS
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, Typed, weight

COLUMNS = ["NAME", "PHASE", "STEP", "WEIGHT", "READY", "REASON", "EVIDENCE", "AGE"]
WIDE = [*COLUMNS, "STABLE", "CANARY", "MESSAGE"]
LONG = "invitation-api-with-a-name-as-long-as-names-may-be-a"


@pytest.fixture
async def long_name(shop):
    assert len(LONG) == NAME_MOST
    shop.name = LONG
    return shop


async def test_a_release_is_followed_from_the_terminal(shop):
    name, kubectl, pointsman = shop.name, shop.kubectl, shop.pointsman
    stable = await shop.given(weight(10), APPROVE, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    ready = ("wait", "--for=condition=Ready", f"release/{name}")
    assert (await kubectl(*ready, "--timeout=10s")).code == 0
    waited, idle = await asyncio.gather(pointsman("wait", name), pointsman("approve", name))
    assert waited.code == 0
    assert idle == Typed(1, f"pointsman: nothing to approve: no release of {name} is under way\n")

    assert (await kubectl("scale", "release", name, "--replicas=3")).code == 0
    grown = await kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", f"release/{name}", "--timeout=30s")
    assert grown.code == 0, grown.text
    scale = await scale_of(shop)
    assert scale["spec"]["replicas"] == 3
    assert scale["status"]["selector"] == f"pointsman.dev/release={name},pointsman.dev/revision={stable}"

    await shop.commit(VERSION="2")
    assert (await pointsman("wait", name, "--timeout", "60s")).code == 3, "it waits for a person"
    canary = (await shop.status())["canaryRevision"]
    narrow, wide, unready, explained = await asyncio.gather(
        kubectl("get", "releases"),
        kubectl("get", "releases", "-o", "wide"),
        kubectl(*ready, "--timeout=1s"),
        pointsman("explain", name),
    )
    header, row = narrow.text.splitlines()
    assert header.split() == COLUMNS
    assert row.split()[:6] == [name, "Paused", "2/2", "10", "False", "AwaitingApproval"]
    header, row = wide.text.splitlines()
    assert header.split() == WIDE
    assert f"{stable}   {canary}   step 2/2: waiting for approval" in row
    assert unready.code == 1
    assert explained.code == 0
    for sentence in (
        f"{name} in {shop.namespace}: Paused (AwaitingApproval)",
        f"stable  {stable}, 3 of 3 pods ready",
        f"canary  {canary}, 10 % of the work",
        f"next: pointsman approve {name} -n {shop.namespace}",
    ):
        assert sentence in explained.text

    assert (await pointsman("approve", name)).code == 0
    assert (await pointsman("wait", name, "--timeout", "60s")).code == 0
    assert (await kubectl(*ready, "--timeout=20s")).code == 0
    await shop.commit(VERSION="3")
    await shop.until_phase("Paused")
    assert (await pointsman("abort", name, "--reason", "customers complain")).code == 0
    waited = await pointsman("wait", name, "--timeout", "60s")
    assert waited.code == 1
    assert "customers complain" in waited.text
    assert (await kubectl("wait", "--for=condition=Stalled", f"release/{name}", "--timeout=10s")).code == 0


async def test_the_table_can_be_read_in_a_narrow_terminal_whatever_the_name(long_name):
    shop = long_name
    await shop.given(weight(10), APPROVE, analysis=NOT_JUDGED)
    await shop.commit(VERSION="2")
    await shop.until_phase("Paused")
    listed, table = await asyncio.gather(shop.pointsman("get", "--output=json"), shop.pointsman("get", columns=80))
    assert (listed.code, table.code) == (0, 0)
    assert json.loads(listed.text)[0]["name"] == LONG
    lines = table.text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert lines[0].strip() == LONG, "a name that leaves the table no room has a line of its own"
    for word in ("Paused", "2/2", "10", "AwaitingApproval"):
        assert word in table.text.split(), table.text


async def test_what_cannot_be_done_is_said_in_a_sentence_with_the_right_exit_code(shop):
    nobody, unknown_end, unknown_option = await asyncio.gather(
        shop.pointsman("explain", "nobody"),
        shop.pointsman("wait", shop.name, "--for", "ever"),
        shop.pointsman("get", "--nonsense"),
    )
    sentence = f"pointsman: no Release 'nobody' in namespace {shop.namespace}; there are none; name another with -n\n"
    assert nobody == Typed(1, sentence)
    assert (unknown_end.code, unknown_option.code) == (2, 2)


async def scale_of(shop):
    path = f"/apis/pointsman.dev/v1alpha1/namespaces/{shop.namespace}/releases/{shop.name}/scale"
    return json.loads((await shop.kubectl("get", "--raw", path)).text)


async def test_what_a_failed_version_logged_is_explained_after_its_pods_are_gone(shop):
    await shop.given(weight(10), APPROVE, analysis=NOT_JUDGED, drain=SHORT_DRAIN)
    await shop.commit(VERSION="2", ERROR_RATE="plenty")  # which it does not start with
    canary = (await shop.until(lambda status: status.get("canaryRevision")))["canaryRevision"]

    async def has_crashed():
        statuses = [one for pod in await shop.pods(canary) for one in pod["status"].get("containerStatuses", [])]
        return any(one["restartCount"] > 0 and "terminated" in one["lastState"] for one in statuses)

    async def is_held_back():
        events = await shop.kube.list(EVENTS, shop.namespace)
        return any(one["reason"] == "BackOff" and canary in one["involvedObject"]["name"] for one in events)

    await until(has_crashed, "its container has ended and was started again", 120)
    await until(is_held_back, "the kubelet has said that it waits before the next start", 120)
    assert (await shop.pointsman("abort", shop.name, "--reason", "it does not start")).code == 0
    await shop.until_phase("RolledBack")
    await shop.until_gone(canary)
    explained = await shop.pointsman("explain", shop.name)
    for sentence in (
        f"kept of {canary}, before its pods were scaled down (1 pod):",
        "exit code 2, ",
        "event BackOff of Pod",
        "subject: ERROR_RATE: 'plenty' is not a number between 0 and 1",
    ):
        assert sentence in explained.text, explained.text
    assert "not kept" not in explained.text
