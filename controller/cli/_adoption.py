"""From what runs to a Release: pure, from the objects as they were read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.api.names import ADOPT as SYNC_ADOPT
from controller.api.names import API_VERSION, REPOSITORY_LABEL, RESTARTED_AT
from controller.cli._translation import Translation
from controller.kube.adopting import deployment_refused, pod_labels, selected_by, service_refused
from controller.kube.existing_routes import backends_refused, route_refused
from controller.kube.release_backends import ReleaseBackends

Object = Mapping[str, Any]

_DEFAULTS: Mapping[str, Any] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER_DEFAULTS: Mapping[str, Any] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
_PORT_FIELDS = ("name", "port", "targetPort", "protocol", "appProtocol")
_STEPS = [{"weight": 10}, {"pause": {"for": "2m"}}, {"weight": 50}, {"pause": {"for": "2m"}}]
_DEADLINE_S = 600
_ROUTE = "HTTPRoute "


@dataclass(frozen=True)
class Found:
    """What there is in the namespace."""

    deployment: Object
    services: Sequence[Object] = ()
    """All of them."""
    routes: Sequence[Object] = ()
    ingresses: Sequence[Object] = ()
    autoscalers: Sequence[Object] = ()
    budgets: Sequence[Object] = ()
    pods: Sequence[Object] = ()


def with_words_of(plan: AdoptionPlan, translation: Translation) -> AdoptionPlan:
    """Strategy, traffic and metrics of a peer's manifest in the place of the plan's own; the template is what runs."""
    notes = (*plan.notes, *(f"{translation.kind} {sentence}" for sentence in translation.remarks))
    if plan.release is None:
        return replace(plan, notes=notes)
    ours = {key: value for key, value in translation.spec.items() if key not in ("template", "replicas", "service")}
    # a route of the peer's manifest comes in the place of the one that was found
    steps = tuple(one for one in plan.steps if "traffic" not in ours or not one.startswith(_ROUTE))
    return replace(plan, release={**plan.release, "spec": {**plan.release["spec"], **ours}}, steps=steps, notes=notes)


def plan_translation(translation: Translation, documents: Sequence[Object]) -> AdoptionPlan:
    """Of files alone: the Deployment and the Services may stand beside the peer's manifest."""
    beside = [{**one, "metadata": {"namespace": "default", **one["metadata"]}} for one in documents]
    services = [one for one in beside if one["kind"] == "Service"]
    for one in beside:
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", translation.deployment):
            return with_words_of(plan_adoption(Found(one, services)), translation)
    refused, spec = [], dict(translation.spec)
    if "template" not in spec:
        way = f"pointsman adopt deployment/{translation.deployment} --from FILE"
        refused.append(f"The template is in Deployment {translation.deployment}: `{way}` reads it from the cluster.")
    ports = [port for one in services if one["metadata"]["name"] == translation.name for port in one["spec"]["ports"]]
    if ports:
        spec["service"] = {"ports": [{key: port[key] for key in _PORT_FIELDS if key in port} for port in ports]}
    elif "service" not in spec:
        refused.append(f"Service {translation.name} is not in the file, so spec.service.ports are unknown. Add it.")
    release = {
        "apiVersion": API_VERSION,
        "kind": "Release",
        "metadata": {"name": translation.name},
        "spec": {"traffic": {"replicas": {}}, **spec},
    }
    remarks = tuple(f"{translation.kind} {sentence}" for sentence in translation.remarks)
    return AdoptionPlan(None if refused else release, notes=remarks, refused=tuple(refused))


@dataclass(frozen=True)
class AdoptionPlan:
    release: Mapping[str, Any] | None
    """The manifest; None where nothing could be made of it."""
    steps: tuple[str, ...] = ()
    """What happens, in this order."""
    notes: tuple[str, ...] = ()
    """What stays as it is, and what a person has to do."""
    refused: tuple[str, ...] = ()
    """What cannot be taken over, why, and the way out."""

    def to_raw(self) -> dict[str, Any]:
        raw = {"steps": list(self.steps), "notes": list(self.notes), "refused": list(self.refused)}
        return {"release": self.release, **raw}


def plan_adoption(found: Found) -> AdoptionPlan:
    deployment = found.deployment
    metadata, spec = deployment["metadata"], deployment["spec"]
    name, namespace = metadata["name"], metadata["namespace"]
    refused = [sentence for sentence in (deployment_refused(deployment, f"{namespace}/{name}"),) if sentence]
    services = [one for one in found.services if selected_by(one, pod_labels(deployment))]
    if not services:
        said = f"No Service selects the pods of Deployment {namespace}/{name}, so nothing that leads to them can move."
        way = "Make a Service for them first; for a worker of a queue write a Release by hand (docs/queue-workers.md)."
        return AdoptionPlan(None, refused=(*refused, f"{said} {way}"))
    service = min(services, key=lambda one: _preference(one, name, found.routes))
    front = service["metadata"]["name"]
    with_ports = bool(service["spec"].get("ports"))
    pods = [pod for pod in found.pods if selected_by(service, pod["metadata"].get("labels") or {})]
    sentence = service_refused(service, deployment, pods, with_ports=True, release=front)
    refused += [sentence] if sentence else []
    if spec.get("strategy", {}).get("type") == "Recreate":
        refused.append(
            f"Deployment {namespace}/{name} has strategy Recreate: its old pods end before new ones start, and a "
            "Release runs both beside each other. Make that possible (a volume that only one pod can mount?), then set "
            "strategy.type: RollingUpdate."
        )
    autoscalers = [one for one in found.autoscalers if _scales(one, name)]
    route = _route_to_take(found.routes, front)
    release = _release(deployment, service, route, autoscaled=bool(autoscalers)) if with_ports else None
    steps = tuple(_steps(name, service, route, autoscalers, int(spec.get("replicas", 1))))
    notes = (*_notes_on_routes(found, front, route), *_notes(found, service, services, autoscalers))
    return AdoptionPlan(release, steps, notes, tuple(refused))


def _preference(service: Object, name: str, routes: Sequence[Object]) -> tuple[bool, bool, str]:
    own = service["metadata"]["name"]
    return own != name, not any(_leads_to(route, own) for route in routes), own


def _leads_to(route: Object, service: str) -> bool:
    return any(
        one.get("name") == service
        and one.get("kind", "Service") == "Service"
        and one.get("namespace", route["metadata"]["namespace"]) == route["metadata"]["namespace"]
        for rule in route["spec"].get("rules") or []
        for one in rule.get("backendRefs") or []
    )


def _route_to_take(routes: Sequence[Object], service: str) -> str:
    """Of several none is: a Release moves one."""
    leading = [one for one in routes if _leads_to(one, service)]
    if len(leading) != 1 or _route_refused(leading[0], service):
        return ""
    return str(leading[0]["metadata"]["name"])


def _route_refused(route: Object, service: str) -> str:
    backends = ReleaseBackends(route["metadata"]["namespace"], service)
    return route_refused(route, service) or backends_refused(route, backends)


def _ingress_leads_to(ingress: Object, service: str) -> bool:
    spec = ingress["spec"]
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        backends += [path["backend"] for path in (rule.get("http") or {}).get("paths") or []]
    return any((backend.get("service") or {}).get("name") == service for backend in backends)


def _scales(autoscaler: Object, name: str) -> bool:
    target = autoscaler["spec"]["scaleTargetRef"]
    return (target.get("kind"), target.get("name")) == ("Deployment", name)


# -- the manifest --------------------------------------------------------------------------------------------------


def _release(deployment: Object, service: Object, route: str, *, autoscaled: bool) -> dict[str, Any]:
    metadata, before = service["metadata"], deployment["spec"]
    spec: dict[str, Any] = {} if autoscaled else {"replicas": int(before.get("replicas", 1))}
    deadline = before.get("progressDeadlineSeconds", _DEADLINE_S)
    if deadline != _DEADLINE_S:
        spec["progressDeadlineSeconds"] = deadline
    ports = [{key: port[key] for key in _PORT_FIELDS if key in port} for port in service["spec"]["ports"]]
    spec |= {
        "adopt": {"deployment": deployment["metadata"]["name"], "service": True},
        "deletionPolicy": "Orphan",
        "service": {"ports": ports},
        "traffic": {"gatewayAPI": {"route": {"name": route}}} if route else {"replicas": {}},
        "strategy": {"canary": {"steps": copy.deepcopy(_STEPS)}},
        "template": _template(before["template"]),
    }
    named = {"name": metadata["name"], "namespace": metadata["namespace"]}
    return {"apiVersion": API_VERSION, "kind": "Release", "metadata": named, "spec": spec}


def _template(template: Object) -> dict[str, Any]:
    """Without what the API server fills in."""
    pods = copy.deepcopy(dict(template))
    metadata = {key: pods.get("metadata", {}).get(key) or {} for key in ("labels", "annotations")}
    metadata["annotations"].pop(RESTARTED_AT, None)
    pods["metadata"] = {key: value for key, value in metadata.items() if value}
    pods["spec"] = _without(pods["spec"], _DEFAULTS)
    for kind in ("containers", "initContainers"):
        if kind in pods["spec"]:
            pods["spec"][kind] = [_without(one, _CONTAINER_DEFAULTS) for one in pods["spec"][kind]]
    return pods


def _without(written: Object, defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in written.items() if key not in defaults or value != defaults[key]}


# -- what people read ----------------------------------------------------------------------------------------------


def _steps(name: str, service: Object, route: str, autoscalers: Sequence[Object], replicas: int) -> Iterator[str]:
    front, address = service["metadata"]["name"], service["spec"].get("clusterIP", "None")
    kept = "it is headless" if address in ("", "None") else f"its address {address} stays"
    yield f"{replicas} pods of Release {front} start beside those of Deployment {name}."
    yield f"Once all of them serve, Service {front} selects them; {kept}."
    if route:
        yield (
            f"{_ROUTE}{route} leads to the version, and to Service {front} again once that is stable. Rollouts split "
            "it between two versions; all else of it stays as you wrote it."
        )
    for one in autoscalers:
        yield f"HorizontalPodAutoscaler {one['metadata']['name']} scales Release {front}, from the size of that moment."
    yield f"Until here `pointsman abort {front} --reason TEXT` gives everything back to Deployment {name}."
    yield f"The version is stable; 30 s later Deployment {name} is scaled to 0, and kept."


def _notes_on_routes(found: Found, front: str, taken: str) -> Iterator[str]:
    leading = [one for one in found.routes if _leads_to(one, front)]
    for route in leading:
        name, refused = route["metadata"]["name"], _route_refused(route, front)
        keeper = _kept_by(route).partition(":")[0]
        if name != taken:
            way = refused or "Name one of several in spec.traffic.gatewayAPI.route, for exact shares."
            yield (
                f"{_ROUTE}{name} leads to Service {front} and stays as it is: its requests reach both versions, by "
                f"number of pods. {way}"
            )
        elif keeper:
            yield (
                f"{_ROUTE}{name} {keeper}: during a rollout its backends are not as they are there. docs/adopting.md "
                "has the setting that Argo CD needs for that, and what comes of it without one."
            )
    for ingress in found.ingresses:
        if not _ingress_leads_to(ingress, front):
            continue
        leads = f"Ingress {ingress['metadata']['name']} leads to Service {front}"
        if taken:
            yield f"{leads} past the route: its requests reach the stable version, and move with the promotion."
        else:
            yield (
                f"{leads} and stays as it is: its requests reach both versions, by number of pods. For exact shares "
                "let the Release make its own route (spec.traffic.gatewayAPI) once it is Healthy."
            )


def _notes(
    found: Found,
    service: Object,
    services: Sequence[Object],
    autoscalers: Sequence[Object],
) -> Iterator[str]:
    name, front = found.deployment["metadata"]["name"], service["metadata"]["name"]
    for other in services:
        if other is not service:
            yield (
                f"Service {other['metadata']['name']} selects the same pods and stays as it is: it reaches all "
                f"versions, by number of pods. Point its callers at Service {front} for exact shares."
            )
    for budget in found.budgets:
        labels = (budget["spec"].get("selector") or {}).get("matchLabels") or {}
        if labels and labels.items() <= pod_labels(found.deployment).items():
            yield (
                f"PodDisruptionBudget {budget['metadata']['name']} stays: it counts the pods of the Deployment and of "
                "all versions."
            )
    for item in autoscalers:
        yield (
            f"HorizontalPodAutoscaler {item['metadata']['name']}: where it is in git, change its scaleTargetRef to "
            f"{{apiVersion: {API_VERSION}, kind: Release, name: {front}}} in the same commit."
        )
    for item in (found.deployment, service):
        keeper = _kept_by(item)
        if keeper:
            yield f"{item.get('kind', 'Service')} {item['metadata']['name']} {keeper}"
    if found.deployment["spec"].get("minReadySeconds"):
        yield f"minReadySeconds of Deployment {name} has no counterpart: a pod that is ready counts at once."
    yield "The manifest compares nothing yet: name metrics in spec.analysis, and write `analyze` into the steps."


def _kept_by(item: Object) -> str:
    """Who writes it again, and what to do about that."""
    metadata = item["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    out = "and take it out of {} in the change that adds the Release."
    if labels.get("app.kubernetes.io/managed-by") == "Helm" or "meta.helm.sh/release-name" in annotations:
        chart = annotations.get("meta.helm.sh/release-name", "a release")
        return f"belongs to Helm ({chart}): annotate it with helm.sh/resource-policy: keep, {out.format('the chart')}"
    if "argocd.argoproj.io/tracking-id" in annotations or "argocd.argoproj.io/instance" in labels:
        how = "argocd.argoproj.io/sync-options: Prune=false"
        return f"belongs to Argo CD: annotate it with {how}, {out.format('the repository')}"
    if "kustomize.toolkit.fluxcd.io/name" in labels:
        how = "kustomize.toolkit.fluxcd.io/prune: disabled"
        return f"belongs to Flux: annotate it with {how}, {out.format('the repository')}"
    if REPOSITORY_LABEL in labels:
        how = f"{SYNC_ADOPT.rpartition('/')[0]}/prune: never"
        return f"belongs to `pointsman sync`: annotate it with {how}, {out.format('the repository')}"
    return ""
