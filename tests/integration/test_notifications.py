"""People are notified once of each thing, against a real API server; the operator dies, and receivers misbehave."""

import asyncio
import base64
import itertools

import pytest
import yaml
from typer.testing import CliRunner

from controller.api.resources import CONFIG_MAPS, RELEASES, SECRETS
from controller.cli.main import application
from controller.kube.client import KubeError
from controller.outward.addresses import Addresses
from tests.gate import HANG, LOOPBACK_NETWORK, Gate, answer, gate
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, weight
from tests.mail_server import mail_server
from tests.receivers import PAGERDUTY, ROUTING_KEY, SLACK, receivers

SOON_S = 30.0


async def _no_api_server():
    return frozenset()


LOOPBACK = Addresses(_no_api_server, listed=(LOOPBACK_NETWORK,))
OK = answer()


@pytest.fixture
def opens(api_server, kube, node, tmp_path):
    """Opens a stall whose operator may call loopback; once more for the next life over the same Release."""
    lives = itertools.count()

    def open_(*, name: str = "web", seed: int | None = None):
        log = tmp_path / f"{name}-{next(lives)}.log"
        return Stall.open(kube, node, api_server, log, name=name, seed=seed, addresses=LOOPBACK)

    return open_


@pytest.fixture
async def stall(opens):
    async with opens() as stall:
        yield stall


def team(it: Gate, *wanted: str):
    return [{"name": "team", "webhook": {"url": it.url}} | ({"topics": list(wanted)} if wanted else {})]


def topics(it: Gate) -> list[str]:
    return [str(request.body["topic"]) for request in it.requests]


def ids(it: Gate) -> set[str]:
    return {request.headers["webhook-id"] for request in it.requests}


async def until(condition, seconds=SOON_S):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what a server was sent
            await asyncio.sleep(0.02)


async def bad_version(stall):
    """Version 2 waits for a person, who aborts it."""
    await stall.commit("2")
    waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    await stall.ask("abort", waiting["canaryRevision"])
    return await stall.until_phase("RolledBack")


async def test_each_thing_is_told_once(stall):
    async with gate(OK) as it:
        await stall.given(release(weight(10), APPROVE, notify=team(it)))
        back = await bad_version(stall)
        done = await stall.until(lambda status: "owed" not in status)
        assert done["phase"] == "RolledBack"
        assert topics(it) == ["Promoted", "AwaitingApproval", "RolledBack"]
        assert len(ids(it)) == 3
        body = it.requests[-1].body
        assert body["title"] == f"{stall.namespace}/web: {body['revision']} was rolled back (Aborted)"
        assert str(body["message"]).endswith(f"{back['stableRevision']} has all of the traffic")
        assert f"pointsman explain web -n {stall.namespace}" in str(body["next"])


async def test_the_next_operator_delivers_what_is_owed_under_the_same_id(opens):
    async with gate(HANG, OK) as it:
        async with opens() as stall:
            await stall.given(release(weight(10), APPROVE, notify=team(it, "RolledBack")))
            await bad_version(stall)
            await until(lambda: it.requests)
            assert "owed" in await stall.status()
        async with opens() as stall:
            await stall.until(lambda status: "owed" not in status)
        assert topics(it) == ["RolledBack"] * 2
        assert len(ids(it)) == 1


async def test_killed_between_any_two_writes_it_tells_each_thing_under_one_id(opens):
    async def life(seed):
        async with gate(OK) as it, opens(name=f"web{seed}", seed=seed) as stall:
            await stall.given(release(weight(10), APPROVE, notify=team(it, "AwaitingApproval", "RolledBack")))
            await bad_version(stall)
            await stall.until(lambda status: "owed" not in status)
            assert sorted({*topics(it)}) == ["AwaitingApproval", "RolledBack"]
            assert len(ids(it)) == 2
            return stall.operator.kills

    async with asyncio.TaskGroup() as group:  # they wait more than they work
        lives = [group.create_task(life(seed)) for seed in range(2)]
    assert sum(one.result() for one in lives) >= 4


@pytest.mark.parametrize(
    "replies",
    [(answer(status=500), OK), (answer(b"x" * 30_000_000),), (answer(status=503), answer(status=429), OK)],
    ids=["500 then 200", "30 MB", "503, 429, 200"],
)
async def test_it_is_told_whatever_the_receiver_does_first(stall, replies):
    async with gate(*replies) as it:
        await stall.given(release(weight(10), APPROVE, notify=team(it, "RolledBack")))
        await bad_version(stall)
        await stall.until(lambda status: "owed" not in status)
        assert topics(it) == ["RolledBack"] * len(replies)
        assert len(ids(it)) == 1


@pytest.mark.parametrize("receiver", ["down", "hangs"])
async def test_a_receiver_delays_no_rollback_and_no_deletion(stall, kube, receiver):
    async with gate() as closed:
        pass
    async with gate(HANG) as hanging:
        it = closed if receiver == "down" else hanging
        await stall.given(release(weight(10), APPROVE, notify=team(it)))
        back = await bad_version(stall)
        assert await stall.shares() == {back["stableRevision"]: 10000}
        assert [item["kind"] for item in back["owed"]] == ["notify"] * 3
        await kube.delete(RELEASES, stall.namespace, "web")
        async with asyncio.timeout(SOON_S):
            while await kube.find(RELEASES, stall.namespace, "web") is not None:  # noqa: ASYNC110 - the server's view
                await asyncio.sleep(0.05)


async def test_slack_is_told_by_the_url_of_a_secret_which_stands_nowhere_else(stall, kube):
    async with gate(answer(status=404), OK) as it:
        url = f"{it.url}/T0/B0/sesame"
        data = {"url": base64.b64encode(url.encode()).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slack-team"}, "data": data}
        await kube.create(SECRETS, stall.namespace, secret)
        target = {
            "name": "team",
            "topics": ["RolledBack"],
            "slack": {"urlSecretRef": {"name": "slack-team", "key": "url"}},
        }
        await stall.given(release(weight(10), APPROVE, notify=[target]))
        await bad_version(stall)
        done = await stall.until(lambda status: "owed" not in status)
        assert "/T0/B0/sesame" in it.requests[-1].line
        assert "was rolled back" in str(it.requests[-1].body["text"])
        assert "sesame" not in str(await stall.release())
        assert "sesame" not in stall.operator.log.read_text()
        assert done["phase"] == "RolledBack"


@pytest.mark.parametrize(
    "notify",
    [
        [{"name": "a"}],
        [{"name": "a", "webhook": {"url": "http://x.qa"}, "slack": {"urlSecretRef": {"name": "a"}}}],
        [{"name": "a", "topics": ["Never"], "webhook": {"url": "http://x.qa"}}],
        [{"name": "a", "webhook": {"url": "http://x.qa"}}] * 2,
    ],
)
async def test_the_api_server_refuses_what_the_operator_would(kube, node, notify):
    with pytest.raises(KubeError):
        await kube.create(RELEASES, node.namespace, release(weight(10), notify=notify))


async def secret(kube, namespace, name, **data):
    raw = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    await kube.create(
        SECRETS, namespace, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": raw}
    )


def rota(found, **more):
    key = {"name": "pagerduty", "key": "routing-key"}
    return {"name": "rota", "pagerduty": {"url": found.url + PAGERDUTY, "routingKeySecretRef": key}, **more}


async def test_an_alert_is_opened_and_resolved_by_one_key_however_often_the_operator_dies(opens, kube, node):
    await secret(kube, node.namespace, "pagerduty", routing_key=ROUTING_KEY)
    async with receivers() as found, opens(name="alerted", seed=3) as stall:
        target = rota(found, topics=["AwaitingApproval"])
        await stall.given(release(weight(10), APPROVE, notify=[target]))
        await stall.commit("2")
        waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
        await until(lambda: "triggered" in found.alerts.values())
        await stall.ask("abort", waiting["canaryRevision"])
        await stall.until(lambda status: status["phase"] == "RolledBack" and "owed" not in status)
        assert list(found.alerts.values()) == ["resolved"]
        assert found.actions[-1][0] == "resolve"
        assert found.refused == []
        assert stall.operator.kills >= 2
        assert ROUTING_KEY not in str(await stall.release())
        assert ROUTING_KEY not in stall.operator.log.read_text()


async def test_a_mail_is_handed_in_with_a_text_of_its_own(stall):
    async with mail_server() as box:
        config = {"host": "127.0.0.1", "port": box.port, "tls": "none", "from": "p@shop.qa", "to": ["team@shop.qa"]}
        text = "{{ release }} is back at {{ stable }}"
        target = {"name": "team", "topics": ["RolledBack"], "text": text, "email": config}
        await stall.given(release(weight(10), APPROVE, notify=[target]))
        back = await bad_version(stall)
        await stall.until(lambda status: "owed" not in status)
    (mail,) = box.mails
    assert mail["Subject"].endswith("was rolled back (Aborted)")
    assert f"web is back at {back['stableRevision']}" in mail.get_content()


async def test_a_release_without_targets_notifies_those_of_its_namespace(stall, kube):
    async with gate(OK) as it:
        text = yaml.safe_dump(team(it, "RolledBack"))
        config_map = {"metadata": {"name": "pointsman-notify"}, "data": {"notify": text}}
        await kube.create(CONFIG_MAPS, stall.namespace, {"apiVersion": "v1", "kind": "ConfigMap", **config_map})
        try:
            await stall.given(release(weight(10), APPROVE))
            await bad_version(stall)
            await stall.until(lambda status: "owed" not in status)
            assert topics(it) == ["RolledBack"]
        finally:
            await kube.delete(CONFIG_MAPS, stall.namespace, "pointsman-notify")


async def test_a_person_can_try_a_target(stall, kube, node, api_server):
    await secret(kube, node.namespace, "slack-tried", url="http://127.0.0.1:1" + SLACK)
    slack = {"slack": {"urlSecretRef": {"name": "slack-tried", "key": "url"}}}
    target = {"name": "team", "title": "{{ release }}!", **slack}
    await stall.given(release(weight(10), APPROVE, notify=[target]))
    command = ["notify", "test", "web", "-n", stall.namespace, "--kubeconfig", str(api_server)]

    def run(*more):
        return CliRunner().invoke(application("notifying"), [*command, *more])

    shown = await asyncio.to_thread(run, "--print", "--topic", "RolledBack")
    assert shown.exit_code == 0, (shown.output, shown.exception)
    assert shown.output.splitlines()[:2] == ["team (slack), RolledBack:", "  web!"]
    sent = await asyncio.to_thread(run)
    assert sent.exit_code == 1
    assert "a loopback address, which Pointsman does not call" in sent.output
    assert "sesame" not in sent.output
    assert (await asyncio.to_thread(run, "--target", "nobody")).exit_code == 1
    assert (await asyncio.to_thread(run, "--topic", "Nothing")).exit_code == 2
