"""Commands that ask: each creates a ReleaseAction, which anything else could create as well."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.api.names import RELEASE_LABEL
from controller.api.resources import RELEASE_ACTIONS
from controller.api.status_format import status_from_raw
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, OutputOption, find_release, with_cluster
from controller.cli._options import FAILED, WRONG_USE, Output
from controller.cli._terminal import echo
from controller.kube.client import KubeClient, KubeError

_ANSWER_S = 15.0
_POLL_S = 0.25
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

Name = Annotated[str, typer.Argument(metavar="RELEASE")]
Reason = Annotated[str, typer.Option(help="Why; kept with the answer and told in an event.")]


@dataclass(frozen=True)
class _ActionRequest:
    """What was typed."""

    name: str
    action: str
    reason: str = ""
    revision: str = ""
    """Only where the person names it; else the canary, or with rollback the stable version."""
    to: str = ""


def register(app: typer.Typer) -> None:
    for command in (approve, skip, promote, abort, rollback, pause, resume, retry):
        app.command(command.__name__)(command)


def approve(
    name: Name,
    namespace: Namespace = None,
    reason: Reason = "",
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Pass the step that waits for a person.

    \b
    pointsman approve invitation-api -n shop
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(_ActionRequest(name, "approve", reason), namespace, kubeconfig, output)


def skip(
    name: Name,
    namespace: Namespace = None,
    reason: Reason = "",
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Pass the step in force without waiting for it, and say what stays unproven.

    \b
    pointsman skip invitation-api -n shop --reason "no traffic at night"
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(_ActionRequest(name, "skip", reason), namespace, kubeconfig, output)


def promote(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the version.")],
    full: Annotated[bool, typer.Option("--full", help="Past all steps that are left. There is no other way.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """End the judging: everything to the new version, as soon as it has its pods.

    \b
    pointsman promote invitation-api -n shop --full --reason "fixes the outage"
    """  # noqa: D301 - \b keeps the lines of the examples
    if not full:
        _wrong_use("promote", "nothing will be compared any more: say --full, or pass one step with skip")
    _needs_reason("promote", reason)
    _ask(_ActionRequest(name, "promote", reason), namespace, kubeconfig, output)


def abort(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the rejected revision.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give everything back to stable now and reject the new revision.

    \b
    pointsman abort invitation-api -n shop --reason "customers complain"
    """  # noqa: D301 - \b keeps the lines of the examples
    _needs_reason("abort", reason)
    _ask(_ActionRequest(name, "abort", reason), namespace, kubeconfig, output)


def rollback(
    name: Name,
    to: Annotated[str, typer.Option(metavar="REV", help="An older one that is kept. Default: the one before.")] = "",
    namespace: Namespace = None,
    reason: Reason = "",
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Leave the stable version for an older one; the one that is left is rejected.

    \b
    pointsman rollback invitation-api -n shop
    pointsman rollback invitation-api -n shop --to k3vq7mzt2a --reason "orders are lost"
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(_ActionRequest(name, "rollback", reason, to=to), namespace, kubeconfig, output)


def pause(
    name: Name,
    namespace: Namespace = None,
    reason: Reason = "",
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Stop the steps of this rollout; looks and rollbacks go on.

    \b
    pointsman pause invitation-api -n shop --reason "campaign until four"
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(_ActionRequest(name, "pause", reason), namespace, kubeconfig, output)


def resume(
    name: Name,
    namespace: Namespace = None,
    reason: Reason = "",
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Go on with the steps of a rollout that a person has paused.

    \b
    pointsman resume invitation-api -n shop
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(_ActionRequest(name, "resume", reason), namespace, kubeconfig, output)


def retry(
    name: Name,
    revision: Annotated[str, typer.Argument(metavar="REV", help="The rejected version.")],
    namespace: Namespace = None,
    reason: Reason = "",
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Clear a rejection, as after a false alarm: a new rollout, judged from nothing.

    \b
    pointsman retry invitation-api k3vq7mzt2a -n shop --reason "the database was down"
    """  # noqa: D301 - \b keeps the lines of the examples
    _ask(_ActionRequest(name, "retry", reason, revision), namespace, kubeconfig, output)


def _wrong_use(command: str, sentence: str) -> None:
    echo(f"pointsman {command}: {sentence}", err=True)
    raise typer.Exit(WRONG_USE)


def _needs_reason(command: str, reason: str) -> None:
    if not reason.strip():
        _wrong_use(command, "--reason is empty; say why, for those who will ask")


def _ask(request: _ActionRequest, namespace: str | None, kubeconfig: Path | None, output: Output) -> None:
    async def ask(kube: KubeClient) -> dict[str, Any]:
        home = namespace or kube.namespace
        release = await find_release(kube, home, request.name)
        return await _create_and_wait(kube, home, request, _revision(release, request))

    answered = with_cluster(kubeconfig, ask)
    spec, status = answered["spec"], answered["status"]
    if output is Output.JSON:
        shown = {"name": request.name, "namespace": answered["metadata"]["namespace"], "action": request.action}
        shown |= {"releaseAction": answered["metadata"]["name"], "revision": spec["revision"]}
        echo(json.dumps(shown | {"result": status["result"], "message": status["message"]}))
    else:
        echo(f"{request.name}: {status['message']}")
    if status["result"] != "Accepted":
        raise typer.Exit(FAILED)


def _revision(release: dict[str, Any], request: _ActionRequest) -> str:
    """The version that is meant, as it stands now: by the time it is read another may have taken its place."""
    status = status_from_raw(release.get("status", {}))
    if request.action == "rollback":
        if not status.stable:
            raise CommandError(f"nothing to leave: no version of {request.name} is stable yet")
        return status.stable
    if request.revision:
        return request.revision
    if not status.canary:
        raise CommandError(f"nothing to {request.action}: no release of {request.name} is under way")
    return status.canary


async def _create_and_wait(kube: KubeClient, namespace: str, request: _ActionRequest, revision: str) -> dict[str, Any]:
    spec = {"release": request.name, "revision": revision, "action": request.action, "requestedBy": await _who(kube)}
    more = {"reason": request.reason, "to": request.to}
    body = {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"generateName": f"{request.name}-{request.action}-", "labels": {RELEASE_LABEL: request.name}},
        "spec": spec | {name: value for name, value in more.items() if value},
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
