"""A step's Job as the carrier meets it: its step and effect, and a cluster with one Release."""

import copy
from typing import Any

from controller import registry
from controller.api.effect import Effect
from controller.api.fields import Place, parse
from controller.api.job import job_name
from controller.api.resources import EVENTS, JOBS, PODS, RELEASES, SERVICES
from controller.kube.client import InvalidError, NotFoundError
from controller.kube.objects import Key
from controller.rollout.steps.job import Job
from tests import golden
from tests.unit.effects.test_pod_evidence import Log, answered

SHOP = Key("qa", "shop")
TEMPLATE = {
    "metadata": {"labels": {"team": "a"}},
    "spec": {
        "initContainers": [{"name": "first", "image": "first:1"}],
        "containers": [{"name": "smoke", "image": "smoke:1", "env": [{"name": "MODE", "value": "fast"}]}],
    },
}
STEP: dict[str, Any] = {"job": {"template": TEMPLATE, "atMost": "90500ms", "retries": 2}}
DIGEST = parse(Job, STEP["job"], Place("", registry.kinds())).digest
EFFECT = Effect(
    f"job.bbbbbbbbbb.3.1.{DIGEST}",
    "job",
    {"canaryRevision": "bbbbbbbbbb", "stableRevision": "aaaaaaaaaa", "attempt": 3, "step": 1, "digest": DIGEST},
)
NAME = job_name("shop", EFFECT.id)
MADE_AT = 1_800_000_000.0
FORBIDDEN = InvalidError(403, "Forbidden", 'jobs.batch is forbidden: exceeded quota: "none"')


class Cluster:
    """An API server with one Release, its Service, at most one Job, and pods of it."""

    def __init__(self, *pods, ports=({"port": 80, "name": "http"}, {"port": 9090, "name": "admin-api"})):
        release = golden.release(strategy={"canary": {"steps": [{"weight": 5}, STEP]}})
        release["metadata"] = {"name": "shop", "namespace": "qa", "uid": "u1"}
        self.release: Any = release
        self.job: Any = None
        self.refusal: Exception | None = None
        self.logs: Any = b""
        self.pods, self.ports, self.events = list(pods), list(ports), []
        self.created, self.deleted, self.now = [], [], MADE_AT

    async def find(self, resource, namespace, name):
        assert namespace == "qa"
        if resource == JOBS:
            return self.job if self.job is not None and name == NAME else None
        if resource == SERVICES:
            assert name == "shop-bbbbbbbbbb"
            return {"spec": {"ports": self.ports}}
        assert (resource, name) == (RELEASES, "shop")
        return self.release

    async def get(self, resource, namespace, name):
        found = await self.find(resource, namespace, name)
        if found is None:
            raise NotFoundError(404, "NotFound", f"{name} not found")
        return found

    async def create(self, resource, namespace, body, *, strict=False):
        assert (resource, namespace, strict) == (JOBS, "qa", True)
        if self.refusal is not None:
            raise self.refusal
        self.created.append(body)
        self.job = copy.deepcopy(body)
        self.job["metadata"] |= {"uid": f"job-{len(self.created)}", "creationTimestamp": "2027-01-15T08:00:00Z"}
        return self.job

    async def delete(self, resource, namespace, name, *, seen=None):
        assert (resource, namespace, name) == (JOBS, "qa", NAME)
        assert seen is self.job
        self.deleted.append(name)
        self.job = None
        return True

    async def first_page(self, resource, namespace, *, labels, fields, most):
        assert namespace == "qa"
        if resource == PODS:
            assert labels == f"batch.kubernetes.io/controller-uid={self.job['metadata']['uid']}"
            return self.pods[:most], False
        assert resource == EVENTS
        return [event for event in self.events if f"uid={event['uid']}," in fields], False

    async def stream(self, path, query, *, timeout_s):
        return Log([await answered(self.logs)])

    def is_over(self, condition):
        self.job["status"] = {"conditions": [{"type": condition, "status": "True"}]}
