"""What Argo Rollouts' and Flagger's manifests say, in a Release's words; and, line by line, what has no counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.reading import SpecError, parse_duration

Object = Mapping[str, Any]
WHOLE = 100


@dataclass
class Translation:
    """In the making: what it says so far."""

    kind: str
    name: str
    """That of the Service which callers use."""
    deployment: str = ""
    """Empty where the manifest names none."""
    spec: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def remark(self, path: str, sentence: str) -> None:
        self.remarks.append(f"{path}: {sentence}")


class NotTranslatableError(Exception):
    """One sentence for the person at the terminal."""


def translate(documents: Sequence[Object]) -> Translation:
    """The first Rollout or Canary among them. Raises NotTranslatableError."""
    for document in documents:
        of = _KINDS.get((str(document.get("apiVersion", "")).partition("/")[0], str(document.get("kind", ""))))
        if of is not None:
            try:
                return of(document)
            except (AttributeError, KeyError, SpecError, TypeError, ValueError) as error:
                what = f"{document['kind']} {document.get('metadata', {}).get('name', '')}"
                raise NotTranslatableError(
                    f"{what} cannot be read: {error!r}. Does its own controller take it?"
                ) from error
    raise NotTranslatableError("there is no Rollout of argoproj.io and no Canary of flagger.app in it")


# -- Argo Rollouts ---------------------------------------------------------------------------------------------------

_ROLLOUT_SAME = ("replicas", "revisionHistoryLimit", "progressDeadlineSeconds", "template")
_ROLLOUT_NONE = {
    "selector": "a Release labels its pods itself",
    "minReadySeconds": "no counterpart; a pod that is ready counts at once",
    "analysis": "no counterpart; spec.revisionHistoryLimit keeps records",
    "paused": "set spec.suspend: true instead",
    "progressDeadlineAbort": "always so in a Release",
    "restartAt": "no counterpart",
    "rollbackWindow": "no counterpart; `pointsman rollback` goes back to a kept version",
}
_CANARY_NONE = {
    "analysis": "AnalysisTemplates have no counterpart; name metrics in spec.analysis.metrics",
    "antiAffinity": "no counterpart; write it into spec.template",
    "dynamicStableScale": "no counterpart; the old version keeps its pods until the new one is promoted",
    "maxSurge": "no counterpart; versions have pods of their own",
    "maxUnavailable": "no counterpart; versions have pods of their own",
    "minPodsPerReplicaSet": "use spec.strategy.canary.scale",
    "canaryMetadata": "no counterpart; pods carry the label pointsman.dev/revision",
    "stableMetadata": "no counterpart; pods carry the label pointsman.dev/revision",
    "canaryService": "not needed; each version has a Service of its own",
    "pingPong": "not needed; each version has a Service of its own",
}
_BLUE_GREEN_NONE = {
    "antiAffinity": "no counterpart; write it into spec.template",
    "prePromotionAnalysis": "no counterpart; use a job or mirror step",
    "postPromotionAnalysis": "no counterpart; name metrics in spec.analysis, which are watched during keepOld",
    "previewService": "use spec.strategy.blueGreen.preview with host names or a header",
    "maxUnavailable": "no counterpart; the new version has its full size before the switch",
    "activeMetadata": "no counterpart",
    "previewMetadata": "no counterpart",
}


def _rollout(document: Object) -> Translation:
    spec, strategy = document["spec"], document["spec"].get("strategy") or {}
    canary, blue_green = strategy.get("canary"), strategy.get("blueGreen")
    front = (canary or {}).get("stableService") or (blue_green or {}).get("activeService")
    made = Translation("Rollout", front or document["metadata"]["name"])
    for key, value in spec.items():
        if key in _ROLLOUT_SAME:
            made.spec[key] = value
        elif key == "workloadRef" and value.get("kind") == "Deployment":
            made.deployment = value["name"]
        elif key != "strategy":
            made.remark(f"spec.{key}", _ROLLOUT_NONE.get(key, "no counterpart"))
    if "workloadRef" not in spec:
        made.remark(
            "spec.template",
            "a Rollout's pods are of no Deployment, which could be adopted: give the Release another name and move "
            "callers, or bring the pods into a Deployment first (spec.workloadRef)",
        )
    if canary is not None:
        _rollout_canary(made, canary)
    elif blue_green is not None:
        _rollout_blue_green(made, blue_green)
    return made


def _rollout_canary(made: Translation, canary: Object) -> None:
    path = "spec.strategy.canary"
    steps: list[dict[str, Any]] = []
    for index, step in enumerate(canary.get("steps") or []):
        steps += _rollout_step(made, f"{path}.steps[{index}]", step)
    made.spec["strategy"] = {"canary": {"steps": steps}}
    for key, value in canary.items():
        if key == "scaleDownDelaySeconds":
            made.spec["drain"] = {"quiet": f"{value}s", "max": f"{max(300, int(value))}s"}
        elif key == "abortScaleDownDelaySeconds" and int(value) > 0:
            made.spec["keepFailed"] = f"{value}s"
        elif key == "trafficRouting":
            for router in value:
                made.remark(f"{path}.trafficRouting.{router}", _ROUTED)
        elif key not in ("steps", "stableService"):
            made.remark(f"{path}.{key}", _CANARY_NONE.get(key, "no counterpart"))


_ROUTED = "shares are by number of pods (traffic.replicas) until spec.traffic names gatewayAPI or traefik"


def _rollout_step(made: Translation, path: str, step: Object) -> Iterator[dict[str, Any]]:
    (kind, value), *_ = step.items()
    match kind:
        case "setWeight" if 0 < value < WHOLE:
            yield {"weight": value}
        case "setWeight":
            made.remark(
                path, "left out; the end of the steps is the promotion" if value else "left out; it gives no work"
            )
        case "pause" if value and "duration" in value:
            yield {"pause": {"for": _duration(value["duration"])}}
        case "pause":
            yield {"approve": {}}
        case "setHeaderRoute" if len(value.get("match") or []) == 1 and "exact" in value["match"][0]["headerValue"]:
            match = value["match"][0]
            made.remark(path, "a header step needs traffic.gatewayAPI or traefik")
            yield {"header": {"name": match["headerName"], "value": match["headerValue"]["exact"]}}
        case "analysis":
            made.remark(
                path, "no counterpart; name metrics in spec.analysis.metrics and write analyze into the weight's step"
            )
        case "setCanaryScale":
            made.remark(path, "use spec.strategy.canary.scale, which holds for all steps")
        case "experiment":
            made.remark(path, "no counterpart; a job step runs a Job against the new version")
        case _:
            made.remark(path, f"{kind} has no counterpart")


def _rollout_blue_green(made: Translation, blue_green: Object) -> None:
    path, strategy = "spec.strategy.blueGreen", dict[str, Any]()
    if blue_green.get("autoPromotionEnabled") is False:
        strategy["steps"] = [{"approve": {}}]
    elif blue_green.get("autoPromotionSeconds"):
        strategy["steps"] = [{"pause": {"for": f"{blue_green['autoPromotionSeconds']}s"}}]
    if "previewReplicaCount" in blue_green:
        strategy["previewReplicas"] = blue_green["previewReplicaCount"]
    strategy["keepOld"] = f"{blue_green.get('scaleDownDelaySeconds', 30)}s"
    made.spec["strategy"] = {"blueGreen": strategy}
    known = {"activeService", "autoPromotionEnabled", "autoPromotionSeconds", "previewReplicaCount"}
    for key in blue_green.keys() - known - {"scaleDownDelaySeconds"}:
        made.remark(f"{path}.{key}", _BLUE_GREEN_NONE.get(key, "no counterpart"))
    made.remark(path, "a switch needs spec.traffic.gatewayAPI or traefik for its preview and mirror")


# -- Flagger ---------------------------------------------------------------------------------------------------------

_FLAGGER_NONE = {
    "provider": _ROUTED,
    "ingressRef": _ROUTED,
    "routeRef": _ROUTED,
    "upstreamRef": _ROUTED,
    "metricsServer": "make a MetricSource of it",
    "skipAnalysis": "`pointsman promote --full` ends one release's analysis",
    "suspend": "set spec.suspend: true instead",
    "revertOnDeletion": "set spec.deletionPolicy: Orphan, or use `pointsman eject`",
}
_FLAGGER_SERVICE = {"name", "port", "portName", "targetPort", "appProtocol", "gatewayRefs", "hosts"}
_FLAGGER_RATE = "request-success-rate"


def _flagger(document: Object) -> Translation:
    spec, target = document["spec"], document["spec"]["targetRef"]
    service, analysis = spec.get("service") or {}, spec.get("analysis") or {}
    made = Translation("Canary", service.get("name") or target["name"])
    if target.get("kind") == "Deployment":
        made.deployment = target["name"]
    else:
        made.remark(
            "spec.targetRef", f"a {target.get('kind')} cannot be adopted; a Release runs its template as a Deployment"
        )
    if "progressDeadlineSeconds" in spec:
        made.spec["progressDeadlineSeconds"] = spec["progressDeadlineSeconds"]
    _flagger_service(made, service)
    _flagger_steps(made, analysis)
    _flagger_metrics(made, analysis)
    known = {"targetRef", "autoscalerRef", "progressDeadlineSeconds", "service", "analysis"}
    for key in spec.keys() - known:
        made.remark(f"spec.{key}", _FLAGGER_NONE.get(key, "no counterpart"))
    return made


def _flagger_service(made: Translation, service: Object) -> None:
    if "port" in service:
        names = {"portName": "name", "port": "port", "targetPort": "targetPort", "appProtocol": "appProtocol"}
        made.spec["service"] = {"ports": [{names[key]: service[key] for key in names if key in service}]}
    if service.get("gatewayRefs"):
        route = {"parentRefs": service["gatewayRefs"]}
        made.spec["traffic"] = {"gatewayAPI": route | ({"hostnames": service["hosts"]} if service.get("hosts") else {})}
    for key in service.keys() - _FLAGGER_SERVICE:
        made.remark(
            f"spec.service.{key}", "no counterpart; write it into spec.traffic.gatewayAPI.rules where that has it"
        )


def _flagger_steps(made: Translation, analysis: Object) -> None:
    path, interval = "spec.analysis", str(analysis.get("interval", "1m"))
    if analysis.get("iterations"):
        seconds = f"{round(parse_duration(interval, 'spec.analysis.interval') * int(analysis['iterations']))}s"
        made.spec["strategy"] = {"blueGreen": {"steps": [{"pause": {"for": seconds}}], "keepOld": "30s"}}
        return
    most, each = int(analysis.get("maxWeight", WHOLE)), int(analysis.get("stepWeight", 0))
    weights = analysis.get("stepWeights") or (list(range(each, most + 1, each)) if each else [])
    steps: list[dict[str, Any]] = []
    for weight in (one for one in weights if 0 < one < WHOLE):
        steps += [{"weight": weight}, {"pause": {"for": interval}}]
    made.spec["strategy"] = {"canary": {"steps": steps}}
    if analysis.get("threshold"):
        made.remark(
            f"{path}.threshold", "no counterpart; a rollback is decided by a test over all looks, not by their number"
        )


def _flagger_metrics(made: Translation, analysis: Object) -> None:
    metrics: list[dict[str, Any]] = []
    for index, metric in enumerate(analysis.get("metrics") or []):
        least = (metric.get("thresholdRange") or {}).get("min")
        if metric.get("name") == _FLAGGER_RATE and least is not None:
            metrics.append(
                {"name": "errors", "template": "http-errors", "limit": {"max": f"{WHOLE - float(least):g}%"}}
            )
        else:
            said = f"{metric.get('name', 'it')} has no counterpart; use a MetricTemplate of the library, or write one"
            made.remark(f"spec.analysis.metrics[{index}]", said)
    if metrics:
        made.spec["analysis"] = {"metrics": metrics}
    ways = {
        "webhooks": "use webhook or job steps",
        "alerts": "use spec.notify",
        "match": "use a header step",
        "mirror": "use a mirror step",
        "sessionAffinity": "use spec.strategy.canary.sticky with traffic.traefik",
        "stepWeightPromotion": "no counterpart; the promotion is one step, and bake.holdback keeps a control",
        "primaryReadyThreshold": "no counterpart",
        "canaryReadyThreshold": "no counterpart",
    }
    for key, way in ways.items():
        if key in analysis:
            made.remark(f"spec.analysis.{key}", way)


def _duration(value: Any) -> str:
    """Argo Rollouts takes seconds without a unit."""
    text = f"{value}s" if str(value).isdigit() else str(value)
    parse_duration(text, "duration")
    return text


_KINDS: Mapping[tuple[str, str], Callable[[Object], Translation]] = {
    ("argoproj.io", "Rollout"): _rollout,
    ("flagger.app", "Canary"): _flagger,
}
