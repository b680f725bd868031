"""`pointsman notify test`, against an API server that has what it asks for."""

import base64
from typing import Any

import pytest

from controller.api.resources import CONFIG_MAPS, RELEASES, SECRETS
from controller.cli import notifying
from controller.cli._cluster import CommandError
from controller.outward.addresses import Addresses
from tests import golden
from tests.gate import LOOPBACK_NETWORK
from tests.receivers import PAGERDUTY, ROUTING_KEY, SLACK, receivers


class Kube:
    namespace = "shop"

    def __init__(self, notify=None, default=None, **secrets):
        self.release = golden.release("web", **({} if notify is None else {"notify": notify}))
        self.default, self.secrets = default, secrets

    async def get(self, resource, namespace, name):
        assert (resource, namespace, name) == (RELEASES, "shop", "web")
        return self.release

    async def find(self, resource, namespace, name) -> dict[str, Any] | None:
        assert namespace == "shop"
        if resource == CONFIG_MAPS:
            return None if self.default is None else {"data": {"notify": self.default}}
        assert resource == SECRETS
        return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in self.secrets.items()}}


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    async def no_api_server():
        return frozenset()

    monkeypatch.setattr(notifying, "Addresses", lambda _: Addresses(no_api_server, listed=(LOOPBACK_NETWORK,)))
    monkeypatch.setattr(notifying, "api_server_of", lambda _: None)


async def tried(kube, target="", topic="", *, only_show=False):
    return await notifying._try(kube, None, "web", (target, topic), only_show=only_show)


TEAM = {"name": "team", "slack": {"urlSecretRef": {"name": "slack", "key": "url"}}}


def rota(found):
    key = {"name": "pagerduty", "key": "routing"}
    return {"name": "rota", "pagerduty": {"url": found.url + PAGERDUTY, "routingKeySecretRef": key}}


async def test_each_target_gets_a_sample_and_no_alert_stays(capsys):
    async with receivers() as found:
        kube = Kube([TEAM, rota(found)], url=found.url + SLACK, routing=ROUTING_KEY)
        assert await tried(kube) is False
    assert [action for action, _ in found.actions] == ["trigger", "resolve"]
    assert "a test, nothing has happened" in found.bodies(SLACK)[0]["text"]
    assert capsys.readouterr().out.splitlines() == ["team (slack) took it", "rota (pagerduty) took it"]


async def test_who_does_not_take_it_is_named_and_no_secret_is(capsys):
    async with receivers() as found:
        kube = Kube([TEAM, rota(found)], url=found.url + SLACK, routing="wrong-key-of-somebody")
        assert await tried(kube) is True
    said = capsys.readouterr()
    assert said.err == "pointsman notify test: rota: 127.0.0.1 answered 400\n"
    assert "wrong-key" not in said.out


async def test_texts_are_shown_and_nothing_is_sent(capsys):
    kube = Kube([{**TEAM, "title": "{{ release }}: {{ topic }}!", "text": "{{ revision }}"}])
    assert await tried(kube, topic="Promoted", only_show=True) is False
    assert capsys.readouterr().out.splitlines() == ["team (slack), Promoted:", "  web: Promoted!", "  bbbbbbbbbb"]


async def test_the_default_of_the_namespace_is_tried(capsys):
    text = "- {name: ours, slack: {urlSecretRef: {name: slack, key: url}}}"
    await tried(Kube(default=text), only_show=True)
    assert capsys.readouterr().out.startswith("ours (slack), RolledBack:")


@pytest.mark.parametrize(
    ("kube", "target", "said"),
    [
        (Kube(), "", "notifies nobody: it has no spec.notify, and shop no ConfigMap pointsman-notify"),
        (Kube([TEAM]), "nobody", "has no target 'nobody'; there are: team"),
        (Kube(default="- {}"), "", "data.notify[0].name: is required"),
    ],
)
async def test_what_cannot_be_tried_is_said(kube, target, said):
    with pytest.raises(CommandError) as caught:
        await tried(kube, target)
    assert said in str(caught.value)
