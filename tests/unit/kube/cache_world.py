"""An API server that counts what it is asked, and short words for what a cache is shown."""

import asyncio
from copy import deepcopy

from controller.api.names import RELEASE_LABEL
from controller.api.resources import DEPLOYMENTS
from controller.kube.watch import Change

LABELS = f"{RELEASE_LABEL}=web"


class Cluster:
    """Answers as an API server does, counts what it is asked, and can keep an answer back."""

    def __init__(self):
        self.objects = {}
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.finalizers = False
        self._version = 0

    def put(self, resource, name, *, release="web", **spec):
        """As it is now; a copy, as a watch would show it."""
        self._version += 1
        labels = {RELEASE_LABEL: release} if release else {}
        metadata = {"name": name, "namespace": "shop", "labels": labels, "resourceVersion": str(self._version)}
        self.objects[resource, name] = {"metadata": metadata, "spec": spec}
        return deepcopy(self.objects[resource, name])

    async def _answer(self, what, answer):
        self.asked.append(what)
        answer = deepcopy(answer)
        await self.gate.wait()
        return answer

    async def find(self, resource, namespace, name):
        return await self._answer(f"find {resource.plural} {name}", self.objects.get((resource, name)))

    async def list(self, resource, namespace=None, *, labels=""):
        found = [item for (kind, _), item in self.objects.items() if kind == resource]
        return await self._answer(f"list {resource.plural}", [item for item in found if item["metadata"]["labels"]])

    async def listing(self, resource, namespace=None, *, labels=""):
        version = str(self._version)
        return await self.list(resource, namespace, labels=labels), version

    async def pages(self, resource, namespace, *, labels="", accept=""):
        for item in await self.list(resource, namespace, labels=labels):  # a page each
            yield {"items": [item], "metadata": {"resourceVersion": str(self._version)}}

    async def create(self, resource, namespace, body, *, strict=False):
        return await self._answer(f"create {resource.plural}", self.put(resource, body["metadata"]["name"]))

    async def replace(self, resource, body, subresource=None, *, strict=False):
        name = body["metadata"]["name"]
        return await self._answer(f"replace {resource.plural}", self.put(resource, name, **body["spec"]))

    async def patch(self, resource, namespace, name, body, subresource=None):
        metadata = self.put(resource, name, **body["spec"])["metadata"]
        return await self._answer(f"patch {resource.plural}", {"kind": "Scale", "metadata": metadata, **body})

    async def delete(self, resource, namespace, name, *, seen=None):
        if not self.finalizers:
            self.objects.pop((resource, name), None)
        return await self._answer(f"delete {resource.plural}", not self.finalizers)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def unseen(name):
    """A change that a list has found after a watch was cut: of what kind, it does not tell."""
    return Change({"name": name, "namespace": "shop", "resourceVersion": "999"})


def seen(item, *, gone=False):
    return Change(item["metadata"], item, gone=gone)


def replicas(items):
    return {item["metadata"]["name"]: item["spec"].get("replicas") for item in items}


async def deployments(cache):
    return replicas(await cache.list(DEPLOYMENTS, "shop", labels=LABELS))
