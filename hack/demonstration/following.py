"""The cluster follows the demo's repository: `pointsman sync` applies what is pushed there, and nobody else applies."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

from controller.api.names import GIT_URLS
from controller.api.resources import RELEASE_REPOSITORIES, Resource
from controller.kube.client import KubeClient, UnavailableError
from controller.sync.hooks import PATH
from hack.demonstration.git_server import GitServer
from hack.demonstration.repository import SECRET
from hack.install import CHECKOUT, OPERATOR_NAMESPACE, Kubectl, make_secret
from hack.node.trouble import TroubleError

NAME, WEBHOOK = "shop", "git-webhook"
_DEMO = CHECKOUT / "gitops/demo"
_SYNC = "pointsman-sync"
_PATIENCE_S = 120.0
_POLL_S = 0.1


def follow(kubectl: Kubectl, namespace: str, server: GitServer, path: str) -> None:
    """From the first push on. The operator may write there, too."""
    word = secrets.token_urlsafe(24)
    make_secret(kubectl, SECRET, namespace, **server.secret)
    # where it may be sent: whoever writes a Release or a ReleaseRepository chooses the server
    kubectl("annotate", "--overwrite", "secret", SECRET, f"{GIT_URLS}={server.pods_url}", "-n", namespace)
    make_secret(kubectl, WEBHOOK, namespace, token=word)
    kubectl.apply("-n", namespace, "-f", _DEMO / "git.yaml")
    kubectl.apply("-f", "-", text=yaml.safe_dump_all(server.service(namespace)))
    objects = [_placed(each, namespace) for each in yaml.safe_load_all((_DEMO / "sync.yaml").read_text())]
    (repository,) = (each for each in objects if each["kind"] == RELEASE_REPOSITORIES.kind)
    repository["spec"] |= {"url": server.pods_url, "path": path}
    kubectl.apply("-f", "-", text=yaml.safe_dump_all(objects))
    address = kubectl("get", "service", _SYNC, "-n", OPERATOR_NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    server.announce(f"http://{address}{PATH}", word)


def _placed(each: dict[str, Any], namespace: str) -> dict[str, Any]:
    each["metadata"]["namespace"] = namespace
    for subject in each.get("subjects", ()):
        subject.setdefault("namespace", namespace)
    return each


def forget(kubectl: Kubectl, namespace: str) -> None:
    """It would bring back what is deleted."""
    kubectl("delete", RELEASE_REPOSITORIES.plural, NAME, "-n", namespace, "--ignore-not-found")


def suspend(kubectl: Kubectl, namespace: str) -> None:
    """What was applied stays."""
    patch = ("--type=merge", '--patch={"spec": {"suspend": true}}')
    with suppress(TroubleError):  # where the cluster has gone, that is the trouble, and not this
        kubectl("patch", RELEASE_REPOSITORIES.plural, NAME, "-n", namespace, *patch)


async def until_applied(kube: KubeClient, namespace: str, commit: str) -> None:
    """As the newest commit. Raises TroubleError where that goes on for long, or something of it was refused."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        found = await read(kube, RELEASE_REPOSITORIES, namespace, NAME)
        status = found.get("status", {})
        if status.get("appliedCommit") == commit:
            return
        refused = status.get("failures") if status.get("observedCommit") == commit else None
        if refused or time.monotonic() > deadline:
            why = _sentence(status, refused[0] if refused else {})
            raise TroubleError(
                f"commit {commit[:7]} was not applied ({why}): see `kubectl describe releaserepository {NAME} "
                f"-n {namespace}` and `kubectl logs -n {OPERATOR_NAMESPACE} deploy/{_SYNC}`."
            )
        await asyncio.sleep(_POLL_S)


async def read(kube: KubeClient, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
    """Whatever its API server does: on a busy machine it leaves a question without an answer now and then."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await kube.get(resource, namespace, name)
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_S)


def _sentence(status: Mapping[str, Any], refused: Mapping[str, str]) -> str:
    if refused:
        return f"{refused['what']}: {refused['message']}"
    ready = [one["message"] for one in status.get("conditions", ()) if one["type"] == "Ready"]
    return ready[0] if ready else "pointsman sync has not said anything yet"
