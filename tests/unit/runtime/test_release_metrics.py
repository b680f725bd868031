"""Metrics of Releases: complete counts, and series for those alone at which somebody may have to look."""

from prometheus_client import CollectorRegistry, generate_latest

from controller.api.effect import Effect, Owed
from controller.api.git_origin import GIT
from controller.api.phase import Phase
from controller.api.status import Rejection, Status
from controller.kube.objects import Key
from controller.runtime import release_metrics
from controller.runtime.release_metrics import ReleaseMetrics

NOW = 1_000_000.0


def said(metrics: ReleaseMetrics) -> set[str]:
    registry = CollectorRegistry()
    registry.register(metrics)
    return {line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")}


def test_a_healthy_release_is_counted_and_has_no_series():
    metrics = ReleaseMetrics(lambda: NOW)
    metrics.status(Key("shop", "web"), Status(phase=Phase.HEALTHY))
    lines = said(metrics)
    assert 'pointsman_releases{phase="Healthy"} 1.0' in lines
    assert not any("web" in line for line in lines)


def test_a_release_that_waits_was_rolled_back_or_owes_a_commit_has_series():
    metrics = ReleaseMetrics(lambda: NOW)
    rollback = Rejection("bbbbbbbbbb", "Regressed", "errors", "", at=NOW - 60)
    owed = Owed(Effect("git.1", GIT, {}), since=NOW - 30)
    metrics.status(Key("shop", "web"), Status(phase=Phase.WAITING, reason="SourceOutage"))
    metrics.status(Key("shop", "api"), Status(phase=Phase.HEALTHY, last_rollback=rollback, owed=(owed,)))
    lines = said(metrics)
    assert 'pointsman_release_phase{namespace="shop",phase="Waiting",reason="SourceOutage",release="web"} 1.0' in lines
    name = 'namespace="shop",release="api"'
    assert f"pointsman_release_last_rollback_timestamp_seconds{{{name}}} {NOW - 60}" in lines
    assert f"pointsman_release_git_owed_since_timestamp_seconds{{{name}}} {NOW - 30}" in lines
    metrics.forget(Key("shop", "web"))
    assert not any("web" in line for line in said(metrics))


def test_a_rollback_of_yesterday_has_no_series():
    metrics = ReleaseMetrics(lambda: NOW)
    rollback = Rejection("bbbbbbbbbb", "Regressed", "errors", "", at=NOW - 90_000)
    metrics.status(Key("shop", "api"), Status(phase=Phase.HEALTHY, last_rollback=rollback))
    assert not any("api" in line for line in said(metrics))


def test_a_tenant_with_many_releases_costs_a_bounded_scrape(monkeypatch):
    monkeypatch.setattr(release_metrics, "MOST", 10)
    metrics = ReleaseMetrics(lambda: NOW)
    for number in range(25):
        metrics.status(Key("shop", f"web-{number}"), Status(phase=Phase.WAITING, reason="NoCapacity"))
    lines = said(metrics)
    assert sum(line.startswith("pointsman_release_phase") for line in lines) == 10
    assert "pointsman_releases_unlisted 15.0" in lines
    assert 'pointsman_releases{phase="Waiting"} 25.0' in lines
