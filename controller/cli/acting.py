"""Commands that ask: each creates a ReleaseAction, which anything else could create as well."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from controller.api.names import RELEASE_LABEL
from controller.api.resources import RELEASE_ACTIONS
from controller.api.status_format import status_from_raw
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, OutputOption, find_release, with_cluster
from controller.cli._options import FAILED, WRONG_USE, Output
from controller.cli._terminal import echo
from controller.kube.client import InvalidError, KubeClient, KubeError

_ANSWER_S = 15.0
_POLL_S = 0.25
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ROLES = {
    "approve": "pointsman-approve",
    "skip": "pointsman-approve",
    "promote": "pointsman-operate and pointsman-approve",
}
_OTHERS_ROLE = "pointsman-operate"

_NAME = Annotated[str, typer.Argument(metavar="RELEASE")]
_REASON = Annotated[str, typer.Option(help="Why; kept with the answer and sent in an event.")]
_WHY_KEPT = Annotated[str, typer.Option(help="Why; it is kept with the revision.")]
_IS_REVISION = re.compile(r"[a-z2-7]{10}")
_REVISION = Annotated[str, typer.Argument(metavar="REV", help="The rejected version.")]
_TO = Annotated[str, typer.Option(metavar="REV", help="An older one that is kept. Default: the one before.")]
_HARD = Annotated[bool, typer.Option("--hard", help="For a queue: also stop the jobs that the new revision works on.")]
_FULL = Annotated[bool, typer.Option("--full", help="Past all steps that are left. There is no other way.")]


@dataclass(frozen=True)
class _ActionRequest:
    """What was typed."""

    name: str
    action: str
    reason: str = ""
    revision: str = ""
    """Only where the person names it; else the canary, or with rollback the stable version."""
    to: str = ""
    hard: bool = False


@dataclass(frozen=True)
class _Command:
    """One action: what it does, how it is typed, and the options that the others do not have."""

    name: str
    help: str
    examples: tuple[str, ...]
    needs_reason: bool = False
    more: tuple[tuple[str, Any, Any], ...] = ()
    """Name, type and default."""

    def function(self) -> Callable[..., None]:
        """As typer reads it: by its signature."""

        def ask(*, namespace: str | None, kubeconfig: Path | None, output: Output, **typed: Any) -> None:
            if not typed.pop("full", True):
                said = "the analysis ends with it: say --full, or pass one step with skip"
                _wrong_use(self.name, said)
            if self.needs_reason and not typed["reason"].strip():
                _wrong_use(self.name, "--reason is empty; say why, for those who will ask")
            _ask(_ActionRequest(action=self.name, **typed), namespace, kubeconfig, output)

        reason = (_WHY_KEPT, Parameter.empty) if self.needs_reason else (_REASON, "")
        options: tuple[tuple[str, Any, Any], ...] = (
            ("name", _NAME, Parameter.empty),
            *self.more,
            ("namespace", Namespace, None),
            ("reason", *reason),
            ("kubeconfig", Kubeconfig, None),
            ("output", OutputOption, Output.TEXT),
        )
        ask.__annotations__ = {name: annotation for name, annotation, _ in options}
        ask.__signature__ = Signature(  # type: ignore[attr-defined]
            [
                Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                for name, annotation, default in options
            ]
        )
        ask.__doc__ = "\n".join((self.help, "", "\b", *(f"pointsman {self.name} {one}" for one in self.examples)))
        return ask


_COMMANDS = (
    _Command("approve", "Pass the step that waits for a person.", ("invitation-api -n shop",)),
    _Command(
        "skip",
        "Pass the step in force without waiting for it, and say what stays unproven.",
        ('invitation-api -n shop --reason "no traffic at night"',),
    ),
    _Command(
        "promote",
        "End the analysis: everything to the new version, as soon as it has its pods.",
        ('invitation-api -n shop --full --reason "fixes the outage"',),
        needs_reason=True,
        more=(("full", _FULL, False),),
    ),
    _Command(
        "abort",
        "Give everything back to stable now and reject the new revision.",
        (
            'invitation-api -n shop --reason "customers complain"',
            'image-worker -n shop --hard --reason "it writes broken images"',
        ),
        needs_reason=True,
        more=(("hard", _HARD, False),),
    ),
    _Command(
        "rollback",
        "Leave the stable version for an older one; the one that is left is rejected.",
        ("invitation-api -n shop", 'invitation-api -n shop --to k3vq7mzt2a --reason "orders are lost"'),
        more=(("to", _TO, ""),),
    ),
    _Command(
        "pause",
        "Stop the steps of this rollout; analysis and rollbacks go on.",
        ('invitation-api -n shop --reason "campaign until four"',),
    ),
    _Command("resume", "Go on with the steps of a rollout that a person has paused.", ("invitation-api -n shop",)),
    _Command(
        "retry",
        "Clear a rejection, as after a false alarm: a new rollout, judged from nothing.",
        ('invitation-api k3vq7mzt2a -n shop --reason "the database was down"',),
        more=(("revision", _REVISION, Parameter.empty),),
    ),
)


def register(app: typer.Typer) -> None:
    for command in _COMMANDS:
        app.command(command.name)(command.function())


def _wrong_use(command: str, sentence: str) -> NoReturn:
    echo(f"pointsman {command}: {sentence}", err=True)
    raise typer.Exit(WRONG_USE)


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


def _revision(release: Mapping[str, Any], request: _ActionRequest) -> str:
    """The version that is meant, as it stands now: by the time it is read another may have taken its place."""
    status = status_from_raw(release.get("status", {}))
    if request.action == "rollback":
        if not status.stable:
            raise CommandError(f"nothing to leave: no version of {request.name} is stable yet")
        return status.stable
    if request.revision:
        if not _IS_REVISION.fullmatch(request.revision):
            rejected = ", ".join(one.revision for one in reversed(status.rejected)) or "none"
            raise CommandError(f"{request.revision!r} is no revision (rejected: {rejected})")
        return request.revision
    if not status.canary:
        raise CommandError(f"nothing to {request.action}: no release of {request.name} is under way")
    return status.canary


async def _create_and_wait(kube: KubeClient, namespace: str, request: _ActionRequest, revision: str) -> dict[str, Any]:
    spec = {"release": request.name, "revision": revision, "action": request.action, "requestedBy": await _who(kube)}
    more = {"reason": request.reason, "to": request.to, "hard": request.hard}
    body = {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"generateName": f"{request.name}-{request.action}-", "labels": {RELEASE_LABEL: request.name}},
        "spec": spec | {name: value for name, value in more.items() if value},
    }
    made = await _create(kube, namespace, body)
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


async def _create(kube: KubeClient, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return await kube.create(RELEASE_ACTIONS, namespace, body)
    except InvalidError:
        if await _may_create(kube, namespace):
            raise  # a policy or the CRD refused it, and its own sentence says why
    spec = body["spec"]
    role = _ROLES.get(spec["action"], _OTHERS_ROLE)
    raise CommandError(
        f"{spec['requestedBy']} may not {spec['action']} {spec['release']} in namespace {namespace}: "
        f"that needs ClusterRole {role} there"
    )


async def _may_create(kube: KubeClient, namespace: str) -> bool:
    """Whether roles let the caller create ReleaseActions at all."""
    of = {"namespace": namespace, "verb": "create", "group": RELEASE_ACTIONS.group, "resource": RELEASE_ACTIONS.plural}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": of},
    }
    return bool((await kube.request("POST", _MAY_I, body=body))["status"]["allowed"])


async def _who(kube: KubeClient) -> str:
    """As the API server knows the caller."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        review = await kube.request("POST", _WHO, body=body)
    except KubeError:
        return "unknown"
    return str(review["status"]["userInfo"].get("username", "unknown"))
