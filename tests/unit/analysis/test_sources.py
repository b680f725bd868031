"""What was resolved is not resolved again for every look."""

import asyncio
from typing import Any, cast

import pytest

from controller.analysis.sources import Question, Sources
from controller.api.analysis import Metric
from controller.kube.client import KubeClient
from controller.kube.objects import Key

WEB = Key("shop", "web")
METRICS = (cast("Metric", "errors"),)


class Resolving(Sources):
    def __init__(self) -> None:
        super().__init__(cast("KubeClient", None), cluster="c", own_namespace="pointsman")
        self.resolved: list[str] = []

    async def _question(self, key: Key, metric: Metric, stable: str, canary: str) -> Question:
        del key, metric, stable
        self.resolved.append(canary)
        return cast("Question", canary)


def play(*canaries: str, between: Any = lambda _: None) -> list[str]:
    async def story() -> list[str]:
        sources = Resolving()
        for canary in canaries:
            found = await sources.questions(WEB, METRICS, stable="a", canary=canary)
            assert found == (cast("Question", canary),)
            between(sources)
        return sources.resolved

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("canaries", "resolved"),
    [("bbb", "b"), ("bcbcbc", "bc"), ("bcdbcd", "bcd"), ("bcdeb", "bcdeb")],
    ids=["one", "beside a version that drains", "beside its baseline too", "a fourth one"],
)
def test_the_last_three_subjects_of_a_release_are_kept(canaries, resolved):
    assert play(*canaries) == list(resolved)


@pytest.mark.parametrize(
    "between",
    [
        lambda sources: sources.changed("shop"),
        lambda sources: sources.changed("pointsman"),
        lambda sources: sources.forget(WEB),
    ],
    ids=["changed", "the library changed", "forgotten"],
)
def test_after_a_change_everything_is_resolved_anew(between):
    assert play("b", "c", "b", between=between) == ["b", "c", "b"]


def test_another_tenants_change_costs_nothing():
    """One who patched a template again and again made every look of everybody read everything anew."""
    assert play("b", "c", "b", between=lambda sources: sources.changed("bank")) == ["b", "c"]
