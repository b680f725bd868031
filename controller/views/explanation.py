"""Why a Release is where it is, in sentences: pure, from the objects to the lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.git_origin import GIT
from controller.api.phase import Phase
from controller.api.reasons import Facts, Kind, Meaning, Reason, meaning_of
from controller.api.status import Rejection, Status
from controller.api.status_format import status_from_raw
from controller.api.times import from_text
from controller.stats.evidence import Evidence, MetricEvidence, Verdict
from controller.views.pod_evidence import pod_evidence_lines
from controller.views.strategies import kept_old, new_version, words_of_release, work_of

_COMMIT = "pointsman.dev/commit"
_YOUNG_S = 60.0
COMMAND = "next: "
"""What a line begins with that holds a command, to be copied."""


@dataclass(frozen=True)
class Explanation:
    """`evidence` is that of the attempt under way or, when there is none, of the last one that was recorded."""

    release: Mapping[str, Any]
    run: str
    alpha: float | None
    evidence: Evidence | None
    problem: str = ""
    """Why the record cannot be judged again."""
    fresh_baseline: bool = False
    """The last look compared with new pods of stable."""
    copies: bool = False
    """All looks are of copies of requests."""
    rejected: str = ""
    """The version whose pods `pod_evidence` is about."""
    pod_evidence: Mapping[str, Any] = field(default_factory=dict)
    """Of the AnalysisRun: what its pods said before they went."""

    @property
    def compared(self) -> bool:
        """The run is of an attempt that measured something; others are made for `pod_evidence` alone."""
        return self.evidence is not None and self.evidence.metrics != ()

    @property
    def status(self) -> Status:
        return status_from_raw(self.release.get("status", {}))

    @property
    def _new(self) -> str:
        return new_version(self.release)

    @property
    def _trial(self) -> str:
        return words_of_release(self.release).trial

    def lines(self, now: float) -> list[str]:
        metadata, status = self.release["metadata"], self.status
        lines = [f"{metadata['name']} in {metadata['namespace']}: {status.phase} ({status.reason})"]
        lines += [f"  {line}".rstrip() for line in self._body(status, now)]
        lines.append("")
        commands = [*next_commands(metadata["namespace"], metadata["name"], status), *self._looks_at(status, now)]
        lines += [f"{COMMAND}{command}" for command in commands]
        return lines

    def _body(self, status: Status, now: float) -> Iterator[str]:
        if said := status.message or meaning_of(status.reason).sentence:
            yield said
        observed = self.release.get("status", {}).get("observedGeneration", -1)
        if observed < self.release["metadata"]["generation"]:
            yield "the operator has not processed the latest change yet; is it running?"
        yield ""
        yield from self._versions(status, now)
        change = _change(status)
        if change:
            yield f"change  {change}"
        if status.paused_by:
            paused_since = None if status.attempt is None else status.attempt.clock.paused_since
            since = f" {_span(now - paused_since)} ago" if paused_since else ""
            yield f"paused  by {status.paused_by}{since}"
        if status.full_by:
            yield f"analysis ended by {status.full_by}"
        commit = (self.release["metadata"].get("annotations") or {}).get(_COMMIT)
        if commit:
            yield f"commit  {commit}"
        yield from self._evidence()
        yield from _young_pods(status)
        for passed in status.unproven:
            yield f"step {passed.step + 1} {passed.message}"
        last = status.last_rollback
        if last is not None and status.phase is not Phase.ROLLED_BACK:
            yield f"last rollback: {last.revision} {_span(now - last.at)} ago, {last.message}"
        if last is not None:
            yield from _left_behind(last, status, now)
        if self.pod_evidence:
            yield ""
            yield from pod_evidence_lines(self.rejected, self.pod_evidence)

    def _versions(self, status: Status, now: float) -> Iterator[str]:
        of_stable, of_new = pods_ready(status)
        yield f"stable  {status.stable or 'none yet'}{of_stable}{kept_old(self.release, status)}"
        if status.canary:
            since = f" for {_span(now - status.weight_since)}" if status.weight_since and status.weight else ""
            yield f"{self._new:<6}  {status.canary}, {work_of(self.release, status)}{since}{of_new}"
        if status.baseline:
            yield f"baseline  {status.baseline}, {status.baseline_weight:g} % of the work: new pods of stable"

    def _looks_at(self, status: Status, now: float) -> Iterator[str]:
        """The pod that stays of a rejected version."""
        last = status.last_rollback
        if last is not None and _kept_until(status, now):
            metadata = self.release["metadata"]
            pod = f"deployment/{metadata['name']}-{last.revision} -n {metadata['namespace']}"
            yield f"kubectl logs {pod} --all-containers --tail=100"
            yield f"kubectl exec -it {pod} -- sh"

    def _evidence(self) -> Iterator[str]:
        if self.problem:
            yield ""
            yield self.problem
        if self.evidence is None:
            return
        yield ""
        if not self.compared:
            yield f"nothing was compared (AnalysisRun {self.run})"
            return
        if not self.evidence.looks:
            yield f"AnalysisRun {self.run} has no look yet"
            return
        yield f"evidence after {looks_of(self.evidence)} (AnalysisRun {self.run}):"
        for metric in self.evidence.metrics:
            yield from self._of_metric(metric)
        if any(metric.before is not None for metric in self.evidence.metrics):
            yield "  no guarantee: before and after a switch are no random split; only limits keep to maxFalseRollback"
        elif self.alpha is not None:
            if self.copies:
                yield "  all of it are copies of requests: nobody got the new version's answers"
            yield f"  guarantee: at most {self.alpha:.2%} of good versions are rolled back by these tests together"

    def _of_metric(self, metric: MetricEvidence) -> Iterator[str]:
        c, standing = metric.counts, metric.standing
        against = ("baseline" if self.fresh_baseline else "stable") if metric.before is None else "before the switch"
        beside = f", {against} {_rate(c.stable_bad, c.stable_total)}" if self.status.stable else ""
        yield f"  {metric.name}: {self._new} {_rate(c.canary_bad, c.canary_total)}{beside}"
        if metric.before is not None:
            yield from _after_switch(metric)
            return
        if metric.limit is not None:
            yield f"    limit: at most {metric.limit:.2%} of the {self._trial}'s may be bad"
        if metric.advises:
            yield "    advises: it rolls nothing back, and no step waits for it"
        if metric.verdict is Verdict.REGRESSION:
            yield (
                f"    regression: {standing.bad} bad on the {self._trial}, boundary {standing.boundary}; "
                f"p of as many within the margin {standing.p:.2g}"
            )
        elif metric.verdict is Verdict.COMMON_CAUSE:
            yield "    common cause: stable exceeds the limit, too"
        elif metric.overdispersed:
            yield f"    {metric.scatter()}"
        elif metric.held_back:
            yield f"    suspicious: {standing.bad} bad on the {self._trial}, too few for a rollback"
        elif metric.proven:
            yield "    proven no worse than the margin requires"
        elif standing.boundary is not None:
            yield f"    undecided: {standing.bad} bad on the {self._trial}, boundary {standing.boundary}"
        else:
            yield "    undecided: nothing bad enough to test"
        bound = None if metric.proven or metric.verdict is Verdict.REGRESSION else metric.bound()
        if bound is not None:
            yield f"    not excluded: {bound}"

    def as_json(self) -> dict[str, Any]:
        status = self.status
        metrics = [
            {
                "name": metric.name,
                "verdict": metric.verdict.value,
                **metric.counts._asdict(),
                "s": metric.standing.bad,
                "boundary": metric.standing.boundary,
                "p": metric.standing.p,
                "proven": metric.proven,
                "mode": "advise" if metric.advises else "judge",
                **({"beforeSwitch": True} if metric.before is not None else {}),
            }
            for metric in (self.evidence.metrics if self.evidence else ())
        ]
        return {
            "name": self.release["metadata"]["name"],
            "namespace": self.release["metadata"]["namespace"],
            "status": self.release.get("status", {}),
            "analysisRun": self.run,
            "problem": self.problem,
            "looks": self.evidence.looks if self.evidence else 0,
            "metrics": metrics,
            "copies": self.copies,
            "podEvidence": dict(self.pod_evidence),
            "next": next_commands(self.release["metadata"]["namespace"], self.release["metadata"]["name"], status),
        }


def looks_of(evidence: Evidence) -> str:
    return "1 look" if evidence.looks == 1 else f"{evidence.looks} looks"


def pods_ready(status: Status) -> tuple[str, str]:
    """What follows the name of stable, and that of the new version: `status` counts the pods of one of them."""
    pods = f", {status.ready_replicas} of {status.replicas} pods ready"
    return ("", pods) if status.stable and status.serves == status.canary else (pods, "")


def _change(status: Status) -> str:
    """What of the configuration is new in the version that is spoken of."""
    if status.attempt is not None:
        return status.attempt.change
    last = status.last_rollback
    return last.change if last is not None and status.phase is Phase.ROLLED_BACK else ""


def _left_behind(last: Rejection, status: Status, now: float) -> Iterator[str]:
    """By a rollback: a commit, a pod."""
    if said := _in_git(status):
        yield f"git     {said}"
    if until := _kept_until(status, now):
        yield f"kept    1 pod of {last.revision} for a look, {_span(until - now)} more; it gets no work"


def _in_git(status: Status) -> str:
    """Of the last rollback; empty: nothing is to be said of it."""
    written = None if status.last_rollback is None else status.last_rollback.git
    if any(item.effect.kind == GIT for item in status.owed):
        if written is not None and written.note:
            return f"not written yet: {written.note}"
        what = "retry" if written is not None and written.retried else "rollback"
        return f"the {what} is being written"
    return "" if written is None else written.sentence


def _kept_until(status: Status, now: float) -> float:
    """0: none stays."""
    until = status.failed_kept_until or 0.0
    return until if until > now else 0.0


def _after_switch(metric: MetricEvidence) -> Iterator[str]:
    """Where a metric stands that is compared with what was before: its boundary is a rate, and no p-value holds."""
    if metric.edge is None or not metric.before or not metric.before.total:
        yield "    not compared: too few looks before the switch had any units"
        return
    edge = f"more than {metric.edge:.2%} bad in two looks in a row"
    if metric.advises:
        yield "    advises: it switches nothing back"
    if metric.verdict is Verdict.REGRESSION:
        yield f"    regression: {edge}"
    elif metric.overdispersed:
        yield f"    {metric.scatter()}"
    elif metric.held_back:
        yield f"    suspicious: {edge}, too few for a rollback"
    else:
        yield f"    a rollback needs {edge}"


def _young_pods(status: Status) -> Iterator[str]:
    """A version that was rolled back before its pods were warm may have been convicted of just that."""
    last, scaled_up = status.last_rollback, status.scaled_up
    if last is None or status.phase is not Phase.ROLLED_BACK or last.reason != Reason.REGRESSED or scaled_up is None:
        return
    if 0 <= last.at - scaled_up < _YOUNG_S:
        yield (
            f"pods were added {_span(last.at - scaled_up)} before: if they are slow only while they are cold, raise "
            "spec.analysis.advanced.warmUp, then retry"
        )


def next_commands(namespace: str, name: str, status: Status) -> Sequence[str]:
    """What to do next, the most useful first."""
    facts = Facts(
        namespace,
        name,
        stable=status.stable,
        canary=status.canary,
        rejected=status.rejected[-1].revision if status.rejected else "",
        previous=status.previous,
    )
    return list(_meaning(status).lines(facts))


def _meaning(status: Status) -> Meaning:
    """A verdict is known before the promotion is over, and stays when it is."""
    meaning = meaning_of(status.reason)
    if status.phase is Phase.ROLLED_BACK and meaning.kind is not Kind.REJECTED:
        return meaning_of(Reason.REGRESSED)  # a step of another package has a word of its own for it
    if status.phase is Phase.HEALTHY and meaning.kind is not Kind.DONE:
        return meaning_of(Reason.PROMOTED)
    if status.phase is not Phase.HEALTHY and meaning.kind is Kind.DONE:
        return meaning_of(Reason.STEPS_DONE)
    return meaning


def _rate(bad: int, total: int) -> str:
    return f"{bad} of {total}" + (f" ({bad / total:.2%})" if total else "")


def _span(seconds: float) -> str:
    seconds = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def age_of(release: Mapping[str, Any], now: float) -> str:
    return _span(now - from_text(release["metadata"]["creationTimestamp"])).replace(" ", "")
