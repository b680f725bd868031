"""`pointsman eject`: the Release goes; its Deployment, Services and route stay, as plain objects, and serve on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import typer

from controller.api.names import BEFORE, GROUP, MANAGED_BY, MANAGED_BY_LABEL, RELEASE_LABEL
from controller.api.phase import Phase
from controller.api.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.api.status import Status
from controller.api.status_format import status_from_raw
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, find_release, with_cluster
from controller.cli._options import WRONG_USE
from controller.cli._terminal import echo
from controller.kube.adopting import scales
from controller.kube.client import ConflictError, InvalidError, KubeClient, NotFoundError
from controller.kube.objects import child_name

_STAYS = (DEPLOYMENTS, SERVICES, HTTP_ROUTES, CONFIG_MAPS)
_PATIENCE_S = 60.0
_POLL_S = 0.25
_AT_REST = (Phase.HEALTHY, Phase.ROLLED_BACK)


@dataclass(frozen=True)
class Ejected:
    name: str
    kept: tuple[str, ...]
    """Kind and name of what serves on."""


def register(app: typer.Typer) -> None:
    app.command("eject")(eject)


def eject(
    names: Annotated[list[str] | None, typer.Argument(metavar="[RELEASE]...", help="Which ones.")] = None,
    namespace: Namespace = None,
    every: Annotated[bool, typer.Option("--all", help="All Releases of the namespace.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Leave Pointsman: the Release goes, and what serves stays and serves on.

    The stable version's Deployment, the Services and the route lose their
    owner and Pointsman's labels; autoscalers are pointed at the Deployment.
    Pods and selectors stay as they are, so no request notices. A rollout has
    to be over first. Take the Release out of git as well, or it comes back.
    Exit code 0: done, 1: refused by the cluster, 2: wrong use.

    \b
    pointsman eject invitation-api -n shop
    pointsman eject --all -n shop
    """  # noqa: D301 - \b keeps the lines of the examples
    if bool(names) is every:
        echo("pointsman eject: name Releases, or say --all", err=True)
        raise typer.Exit(WRONG_USE)
    done = with_cluster(kubeconfig, partial(_eject_each, namespace, names or []))
    if as_json:
        echo(json.dumps({"ejected": [{"release": one.name, "kept": list(one.kept)} for one in done]}))
        return
    for one in done:
        echo(f"Release {one.name} is gone. What it ran serves on: {', '.join(one.kept)}")
    if not done:
        echo("There are no Releases.")


async def _eject_each(namespace: str | None, names: Sequence[str], kube: KubeClient) -> list[Ejected]:
    home = namespace or kube.namespace
    if not names:
        names = sorted(item["metadata"]["name"] for item in await kube.list(RELEASES, home))
    # all are looked at before the first one goes
    for name in names:
        _refuse_a_rollout(await find_release(kube, home, name))
    return [await _eject(kube, home, name) for name in names]


def _refuse_a_rollout(release: Mapping[str, Any]) -> Status:
    """Ejecting in mid-rollout would leave a half-released version that nobody judges."""
    name, status = release["metadata"]["name"], status_from_raw(release.get("status", {}))
    if not status.stable:
        raise CommandError(f"Release {name} has no stable version to leave behind; delete it, or wait for it")
    if status.canary or status.adopts or status.phase not in _AT_REST:
        where = f"phase {status.phase}, reason {status.reason}"
        raise CommandError(f"Release {name} is not at rest ({where}); wait, or abort the rollout, then eject it")
    if "queue" in release["spec"]["traffic"]:
        raise CommandError(
            f"Release {name} shares a queue: its workers ask Pointsman's ledger. Deploy workers without SHARE_* first"
        )
    return status


async def _eject(kube: KubeClient, home: str, name: str) -> Ejected:
    release = await kube.get(RELEASES, home, name)
    uid = release["metadata"]["uid"]
    await kube.patch(RELEASES, home, name, {"spec": {"deletionPolicy": "Orphan"}})
    await _until_nothing_is_owned(kube, home, name, uid)
    await _delete(kube, home, name)
    await _until_gone(kube, home, name)
    return Ejected(name, tuple(await _plain(kube, home, name)))


async def _until_nothing_is_owned(kube: KubeClient, home: str, name: str, uid: str) -> None:
    """The garbage collector would take along what still has its owner when that goes."""
    deadline = time.monotonic() + _PATIENCE_S
    while owned := [item["metadata"]["name"] for _, item in await _left(kube, home, name) if _owned(item, uid)]:
        if time.monotonic() > deadline:
            raise CommandError(
                f"the operator has not released {', '.join(owned)} within {_PATIENCE_S:.0f} s; nothing is lost, and "
                f"Release {name} has deletionPolicy Orphan now. Eject again when the operator runs"
            )
        await asyncio.sleep(_POLL_S)


def _owned(item: Mapping[str, Any], uid: str) -> bool:
    return any(one.get("uid") == uid for one in item["metadata"].get("ownerReferences") or [])


async def _delete(kube: KubeClient, home: str, name: str) -> None:
    """Once the operator has said in the status that nothing is owned: before that a policy refuses it."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        # what was decided before this moment may have changed since
        release = await kube.get(RELEASES, home, name)
        deployment = child_name(name, _refuse_a_rollout(release).stable)
        await _point_autoscalers(kube, home, name, deployment)
        try:
            await kube.delete(RELEASES, home, name, seen=release)
        except (ConflictError, InvalidError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_S)
        else:
            return


async def _until_gone(kube: KubeClient, home: str, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while await kube.find(RELEASES, home, name) is not None:
        if time.monotonic() > deadline:
            raise CommandError(
                f"Release {name} is being deleted and not gone after {_PATIENCE_S:.0f} s; eject it again"
            )
        await asyncio.sleep(_POLL_S)


async def _left(kube: KubeClient, home: str, name: str) -> list[tuple[Resource, dict[str, Any]]]:
    found = []
    for resource in _STAYS:
        try:
            listed = await kube.list(resource, home, labels=f"{RELEASE_LABEL}={name}")
        except NotFoundError:
            continue  # the cluster does not know the kind
        found += [(resource, item) for item in listed]
    return found


async def _point_autoscalers(kube: KubeClient, home: str, name: str, deployment: str) -> None:
    target = {"apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind, "name": deployment}
    for one in await kube.list(HORIZONTAL_POD_AUTOSCALERS, home):
        if scales(one, RELEASES.kind, name):
            patch = {"metadata": {"annotations": {BEFORE: None}}, "spec": {"scaleTargetRef": target}}
            await kube.patch(HORIZONTAL_POD_AUTOSCALERS, home, one["metadata"]["name"], patch)


async def _plain(kube: KubeClient, home: str, name: str) -> list[str]:
    """Without what marks them as Pointsman's. Pod templates and selectors stay: a change of them would restart pods."""
    kept = []
    for resource, item in await _left(kube, home, name):
        metadata = item["metadata"]
        labels: dict[str, None] = {
            key: None
            for key, value in (metadata.get("labels") or {}).items()
            if key.startswith(f"{GROUP}/") or (key, value) == (MANAGED_BY_LABEL, MANAGED_BY)
        }
        annotations = {key: None for key in metadata.get("annotations") or {} if key.startswith(f"{GROUP}/")}
        patch = {"metadata": {"labels": labels, "annotations": annotations}}
        await kube.patch(resource, home, metadata["name"], patch)
        kept.append(f"{resource.kind} {metadata['name']}")
    for item in await kube.list(CONTROLLER_REVISIONS, home, labels=f"{RELEASE_LABEL}={name}"):
        await kube.delete(CONTROLLER_REVISIONS, home, item["metadata"]["name"], seen=item)
    return kept
