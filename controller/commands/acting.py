"""Commands that ask: each creates a ReleaseAction, which anything else could create as well."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.api.names import RELEASE_LABEL
from controller.api.resources import RELEASE_ACTIONS
from controller.api.status import status_from_raw
from controller.commands._cluster import FAILED, CommandError, Kubeconfig, Namespace, find_release, with_cluster
from controller.kube.client import KubeClient, KubeError

_ANSWER_S = 15.0
_POLL_S = 0.25
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

Name = Annotated[str, typer.Argument(metavar="RELEASE")]


def register(app: typer.Typer) -> None:
    app.command("approve")(approve)
    app.command("abort")(abort)


def approve(
    name: Name,
    namespace: Namespace = None,
    reason: Annotated[str, typer.Option(help="Kept with the approval.")] = "",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Pass the step that waits for a person.

    \b
    pointsman approve invitation-api -n shop
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(name, namespace, kubeconfig, "approve", reason)


def abort(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the rejected revision.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Give everything back to stable now and reject the new revision.

    \b
    pointsman abort invitation-api -n shop --reason "customers complain"
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(name, namespace, kubeconfig, "abort", reason)


def _ask(name: str, namespace: str | None, kubeconfig: Path | None, action: str, reason: str) -> None:
    async def ask(kube: KubeClient) -> dict[str, Any]:
        home = namespace or kube.namespace
        release = await find_release(kube, home, name)
        canary = status_from_raw(release.get("status", {})).canary
        if not canary:
            raise CommandError(f"nothing to {action}: no release of {name} is under way")
        return await _create_and_wait(kube, home, name, action, canary, reason)

    answered = with_cluster(kubeconfig, ask)
    status = answered["status"]
    typer.echo(f"{name}: {status['message']}")
    if status["result"] != "Accepted":
        raise typer.Exit(FAILED)


async def _create_and_wait(
    kube: KubeClient, namespace: str, name: str, action: str, revision: str, reason: str
) -> dict[str, Any]:
    spec = {"release": name, "revision": revision, "action": action, "requestedBy": await _who(kube)}
    body = {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"generateName": f"{name}-{action}-", "labels": {RELEASE_LABEL: name}},
        "spec": spec | ({"reason": reason} if reason else {}),
    }
    made = await kube.create(RELEASE_ACTIONS, namespace, body)
    deadline = time.monotonic() + _ANSWER_S
    while not made.get("status", {}).get("result"):
        if time.monotonic() > deadline:
            raise CommandError(
                f"the operator has not answered ReleaseAction {made['metadata']['name']} within {_ANSWER_S:.0f} s; "
                f"it will when it runs"
            )
        await asyncio.sleep(_POLL_S)
        made = await kube.get(RELEASE_ACTIONS, namespace, made["metadata"]["name"])
    return made


async def _who(kube: KubeClient) -> str:
    """As the API server knows the caller."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        review = await kube.request("POST", _WHO, body=body)
    except KubeError:
        return "unknown"
    return str(review["status"]["userInfo"].get("username", "unknown"))
