"""Whom the Releases of a namespace notify by default."""

import asyncio

import pytest

from controller import registry
from controller.api.release import parse_release
from controller.api.what_runs import NOTIFY
from controller.kube.client import UnavailableError
from controller.runtime import notify_defaults
from controller.runtime.notify_defaults import NotifyDefaults
from tests import golden

TEXT = "- {name: team, topics: [RolledBack], webhook: {url: 'https://hooks.qa/x'}}"


DOWN = UnavailableError(503, "ServiceUnavailable", "refused")


class Kube:
    def __init__(self, text=None, error=None):
        self.text, self.error, self.reads = text, error, []

    async def find(self, resource, namespace, name):
        self.reads.append((namespace, name))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return None if self.text is None else {"data": {"notify": self.text}}


def applied(kube, **spec):
    raw = golden.release("web", **spec)["spec"]
    return asyncio.run(NotifyDefaults(kube).applied(parse_release("web", raw, registry.kinds()), raw, "shop"))


def test_a_release_without_targets_has_those_of_its_namespace():
    spec, problem = applied(Kube(TEXT))
    assert problem == ""
    assert [target.name for target in spec.notify] == ["team"]


@pytest.mark.parametrize("own", [[], [{"name": "own", "webhook": {"url": "https://own.qa/"}}]])
def test_a_release_with_targets_of_its_own_has_just_these(own):
    kube = Kube(TEXT)
    spec, _ = applied(kube, notify=own)
    assert [target.name for target in spec.notify] == [target["name"] for target in own]
    assert kube.reads == []


def test_no_default_is_nobody():
    spec, problem = applied(Kube())
    assert (spec.notify, problem, spec.unread) == ((), "", frozenset())


@pytest.mark.parametrize(
    ("kube", "said"),
    [
        (Kube("- {name: a}"), "ConfigMap shop/pointsman-notify: data.notify[0]: needs exactly one of "),
        (
            Kube(error=DOWN),
            "the API server does not say whom",
        ),
    ],
)
def test_a_default_that_cannot_be_read_loses_nothing_that_is_owed(kube, said):
    spec, problem = applied(kube)
    assert problem.startswith(said)
    assert NOTIFY in spec.unread


async def test_it_is_read_once_a_minute_for_all_of_a_namespace():
    kube = Kube(TEXT)
    defaults = NotifyDefaults(kube)
    await asyncio.gather(*(defaults.of("shop") for _ in range(300)), *(defaults.of("other") for _ in range(300)))
    assert sorted(kube.reads) == [("other", "pointsman-notify"), ("shop", "pointsman-notify")]
    assert defaults._reading == {}


async def test_what_was_known_is_good_while_the_api_server_does_not_answer(monkeypatch):
    monkeypatch.setattr(notify_defaults, "_KNOWN_FOR_S", 0.0)
    kube = Kube(TEXT)
    defaults = NotifyDefaults(kube)
    before = await defaults.of("shop")
    kube.error = DOWN
    assert await defaults.of("shop") == before
    kube.error = None
    kube.text = "[]"
    assert (await defaults.of("shop")).targets == ()


async def test_a_read_that_hangs_is_left(monkeypatch):
    monkeypatch.setattr(notify_defaults, "_READ_S", 0.05)

    class Hangs:
        async def find(self, resource, namespace, name):
            await asyncio.Event().wait()

    assert "does not say whom" in (await NotifyDefaults(Hangs()).of("shop")).problem
