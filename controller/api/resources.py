"""Where each kind lives in the API server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from controller.api.names import GROUP, VERSION


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/" + "/".join(map(_quoted, parts))


@dataclass(frozen=True)
class Rule:
    """What the operator's role has to allow, of which `hack/gen-crd` makes it."""

    resource: Resource
    verbs: tuple[str, ...]
    own_namespace: bool = False
    """In the operator's own namespace only; elsewhere people grant it with a Role of their own."""


@lru_cache(maxsize=4096)
def _quoted(part: str) -> str:
    return quote(part, safe="")


RELEASES = Resource(GROUP, VERSION, "releases", "Release")
ANALYSIS_RUNS = Resource(GROUP, VERSION, "analysisruns", "AnalysisRun")
METRIC_TEMPLATES = Resource(GROUP, VERSION, "metrictemplates", "MetricTemplate")
METRIC_SOURCES = Resource(GROUP, VERSION, "metricsources", "MetricSource")
RELEASE_ACTIONS = Resource(GROUP, VERSION, "releaseactions", "ReleaseAction")
RELEASE_REPOSITORIES = Resource(GROUP, VERSION, "releaserepositories", "ReleaseRepository")
HORIZONTAL_POD_AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
JOBS = Resource("batch", "v1", "jobs", "Job")
SERVICES = Resource("", "v1", "services", "Service")
PODS = Resource("", "v1", "pods", "Pod")
POD_LOGS = Resource("", "v1", "pods/log", "Pod")
"""For roles alone: it is a subresource of PODS."""
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace")
EVENTS = Resource("", "v1", "events", "Event")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview")
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
GATEWAY_CLASSES = Resource("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass")
GATEWAYS = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
TRAEFIK_SERVICES = Resource("traefik.io", "v1alpha1", "traefikservices", "TraefikService")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
POD_DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
