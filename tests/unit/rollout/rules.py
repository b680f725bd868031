"""What holds in every state, whatever happened: checked at every decision and after every action of every test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.status import Status
from controller.rollout.actions import Action, EnsureRevision, KeepTemplate, Scale, SetWeights
from controller.rollout.contention import is_contended
from controller.rollout.converge import Decision
from controller.rollout.observation import Observation
from controller.rollout.sizing import Sizing
from tests.unit.rollout.cluster import Cluster

_TOLERANCE = 1e-9
_CONDITIONS = {"Ready", "Available", "Judged", "Reconciling", "Stalled", "GitWritePending"}


def hold_for(seen: Observation, decision: Decision) -> None:
    """Of a decision, before it is carried out."""
    _rises_only_with_pods_and_metrics(seen, decision)
    _rollback_is_first(seen, decision)
    for action in decision.actions:
        if isinstance(action, SetWeights | Scale | EnsureRevision):
            _rejected_gets_nothing(seen, decision.status, action)
        if isinstance(action, EnsureRevision | KeepTemplate) and seen.config_trouble is not None:
            known = seen.config_trouble.stands_in or action.revision != seen.spec_revision
            assert known, f"{action.revision} is made without its configuration"
    assert decision.again_in is None or decision.again_in >= 0


def _shares(decision: Decision) -> list[SetWeights]:
    return [action for action in decision.actions if isinstance(action, SetWeights)]


def _rises_only_with_pods_and_metrics(seen: Observation, decision: Decision) -> None:
    canary, before = seen.target, seen.status
    if not before.stable or canary == before.stable or _goes_back(seen, decision):
        return
    state = seen.state(canary)
    known = before.weight if before.canary == canary else 0.0
    for action in _shares(decision):
        share = action.shares.get(canary, 0.0)
        assert share == 0 or state.serving > 0, f"{share:g} % for a canary of which no pod serves"
        if share <= known:
            continue
        need = seen.spec.strategy.sizes(seen.sizing, seen.spec.replicas, share).canary
        assert state.serving >= need, f"{share:g} % for {state.serving} of {need} pods"
        full = before.full_by or decision.status.full_by
        assert seen.metric_trouble is None or full, f"{share:g} % while the metrics are out"
        resumed = any(request.action == "resume" for request in seen.requests)
        paused = decision.status.paused_by or (before.paused_by and before.canary == canary and not resumed)
        assert not paused, f"{share:g} % while a person has paused it"
        assert not seen.spec.suspend, f"{share:g} % while suspended"


def _goes_back(seen: Observation, decision: Decision) -> bool:
    """A person left stable: the older version has its pods, or stable has none."""
    left, older = seen.status.stable, decision.status.stable
    if left == older or not decision.status.is_rejected(left) or seen.status.is_rejected(left):
        return False
    ready = seen.state(older).serving >= seen.spec.replicas
    assert ready or seen.state(left).up == 0, f"{older} gets the work of {left} without its pods"
    assert decision.status.last_rollback is not None
    assert decision.status.last_rollback.revision == left
    return True


def _rollback_is_first(seen: Observation, decision: Decision) -> None:
    """Whoever leaves loses its work in that decision, and before anything else is tried."""
    before, after = seen.status, decision.status
    if not before.stable or not before.canary or after.canary == before.canary or after.stable != before.stable:
        return
    if (seen.weights or {}).get(before.canary, 0) > 0 and seen.weights != {before.stable: 100.0}:
        assert decision.actions, "nothing is done about the work of a version that leaves"
        first = decision.actions[0]
        assert isinstance(first, SetWeights), f"{first} comes before the weight"
        assert dict(first.shares) == {before.stable: 100.0}


def _rejected_gets_nothing(seen: Observation, status: Status, action: SetWeights | Scale | EnsureRevision) -> None:
    if isinstance(action, SetWeights):
        assert not [one for one, share in action.shares.items() if share > 0 and status.is_rejected(one)], action
    else:
        stays = isinstance(action, Scale) and seen.spec.keep_failed and seen.state(action.revision).wanted > 1
        most = 1 if stays else 0
        assert action.replicas <= most or not status.is_rejected(action.revision), action


def hold_after(cluster: Cluster, seen: Observation, action: Action, stored: Status) -> None:
    """Of the cluster, after each single action: a crash may leave it there. `stored`: the status as it is written."""
    if isinstance(action, SetWeights):
        _the_status_names_what_gets_work(seen, action, stored)
        if stored.stable and action.shares.get(stored.canary, 0) > 0:
            assert cluster.finalizer, "a canary has weight and the finalizer is not there"
        if stored.stable and set(cluster.route or ()) == {stored.canary}:
            assert cluster.on_trial == stored.canary, "a version that is not trusted has all of the work, and no mark"
    stable = seen.status.stable
    if isinstance(action, Scale) and action.revision == stable and action.replicas < seen.state(stable).wanted:
        share = (cluster.weights() or {}).get(stable, 0.0)
        if cluster.sizing.written:
            assert action.replicas >= seen.spec.replicas, f"stable shrinks to {action.replicas} with {share:g} %"
        elif cluster.service != "":
            assert action.replicas >= seen.spec.replicas or share == 0, "stable shrinks while it serves alone"


def _the_status_names_what_gets_work(seen: Observation, action: SetWeights, stored: Status) -> None:
    """Invariant 2: what is not named cannot be judged, and nobody would roll it back."""
    named = {stored.stable, stored.canary, stored.previous, stored.baseline}
    for revision, share in action.shares.items():
        if share > (seen.weights or {}).get(revision, 0.0):
            assert revision in named, f"{share:g} % for {revision}, which the status does not name"


def hold_at_rest(cluster: Cluster, seen: Observation, status: Status) -> None:
    """Of cluster and status together, when a decision has been carried out in full."""
    weights = cluster.weights()
    if weights is not None:
        assert abs(sum(weights.values()) - 100) < _TOLERANCE or not weights
        if status.stable and not seen.spec.suspend and not seen.deleting and not is_contended(status.route_edits):
            assert set(weights) <= set(cluster.deployments), f"{weights} name what does not run"
            assert set(weights) <= {status.stable, status.canary, status.baseline}, f"{weights} name a stranger"
        if status.baseline:
            _a_baseline_has_no_more_than_its_canary(weights, status)
    if not seen.spec.suspend and not seen.deleting:
        if status.stable:
            need = seen.spec.strategy.sizes(seen.sizing, seen.spec.replicas, status.weight).stable
            assert cluster.deployments[status.stable].wanted >= need, "stable has not the pods for its share"
        owed = status.weight > 0 and status.stable != ""
        copied = any(one is not None and one.reach.mirror for one in (cluster.preview, seen.preview))
        assert cluster.finalizer == (owed or copied), "the finalizer is there while work has to go back, only then"
    if cluster.sizing is Sizing.BY_CLAIMS and not seen.deleting and not is_contended(status.route_edits):
        tried = status.canary if status.stable and set(weights or ()) == {status.canary} else ""
        assert cluster.on_trial == tried, f"the ledger has {cluster.on_trial!r} on trial, and not {tried!r}"
    if status.canary:
        assert not status.is_rejected(status.canary)
    assert status.stable != status.canary or not status.stable


def _a_baseline_has_no_more_than_its_canary(weights: Mapping[str, float], status: Status) -> None:
    baseline, canary = (weights.get(one, 0.0) for one in (status.baseline, status.canary))
    assert baseline <= canary + _TOLERANCE, f"{baseline:g} % for the baseline of a canary with {canary:g} %"
    assert status.baseline not in (status.stable, status.previous, *status.queued)
    assert not status.is_rejected(status.baseline)


def conditions_hold(status: Status, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """The rules of kstatus and Flux."""
    kinds = [one["type"] for one in after]
    assert len(kinds) == len(set(kinds))
    assert {"Ready", "Available", "Judged"} <= set(kinds) <= _CONDITIONS
    assert not {"Reconciling", "Stalled"} <= set(kinds)
    by_kind = {one["type"]: one for one in after}
    ready = by_kind["Ready"]["status"] == "True"
    assert ready == (not {"Reconciling", "Stalled"} & set(kinds))
    assert by_kind["Available"]["status"] == "False" or status.stable, "available, and no version has come out"
    assert by_kind["Judged"]["status"] == "False" or status.judged in ("Proven", "LimitsKept")
    assert not (ready and status.canary), "Ready in the midst of a rollout"
    for one in after:
        assert one["reason"], one
        lasting = one["type"] not in ("Reconciling", "Stalled")
        assert lasting or one["status"] == "True", "Reconciling and Stalled are there only while true"
        old = next((other for other in before if other["type"] == one["type"]), None)
        if old is not None:
            moved = old["lastTransitionTime"] != one["lastTransitionTime"]
            assert old["status"] != one["status"] or not moved, "lastTransitionTime moved without status"
