"""`pointsman adopt`: the Release for what runs already, what will happen, and what cannot be taken over."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Annotated, Any, NoReturn

import typer
import yaml

from controller.api.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    INGRESSES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.cli._adoption import AdoptionPlan, Found, plan_adoption, plan_translation, with_words_of
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, with_cluster
from controller.cli._documents import read_documents
from controller.cli._files import UnreadableError
from controller.cli._options import FAILED, WRONG_USE
from controller.cli._terminal import echo
from controller.cli._translation import NotTranslatableError, Translation, translate
from controller.kube.client import KubeClient, NotFoundError


def register(app: typer.Typer) -> None:
    app.command("adopt")(adopt)


def adopt(
    subject: Annotated[str, typer.Argument(metavar="[deployment/NAME]", help="What runs now.")] = "",
    peer: Annotated[
        str, typer.Option("--from", metavar="FILE", help="A Rollout of Argo Rollouts, or a Canary of Flagger.")
    ] = "",
    namespace: Namespace = None,
    apply: Annotated[bool, typer.Option("--apply", help="Create the Release as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the Release that takes over a Deployment with its Service, and what will happen in which order.

    The manifest goes to the standard output, to be committed; everything else
    to the error output. Nothing is changed without --apply.
    With --from the strategy of another tool's manifest is said in a Release's
    words, and what has no counterpart is listed; without deployment/NAME no
    cluster is asked, and the Deployment has to be in the file as well.
    Exit code 0: done, 1: something cannot be taken over, 2: wrong use.

    \b
    pointsman adopt deployment/shop -n shop > release.yaml
    pointsman adopt deployment/shop -n shop --apply
    pointsman adopt deployment/shop -n shop --from canary.yaml
    """  # noqa: D301 - \b keeps the lines of the examples
    kind, _, name = subject.rpartition("/")
    if (subject or not peer) and (kind not in ("deployment", "deployments", "deploy") or not name):
        _wrong_use(f"{subject!r} is not of the form deployment/NAME")
    if apply and not subject:
        _wrong_use("--apply needs deployment/NAME, which is read from the cluster")
    try:
        documents = [one.raw for one in read_documents(peer)] if peer else []
        translation = translate(documents) if peer else None
    except (NotTranslatableError, UnreadableError) as error:
        _wrong_use(f"{peer}: {error}")
    if subject:
        plan = with_cluster(kubeconfig, partial(_planned, namespace, name, translation, apply=apply))
    elif translation is not None:
        plan = plan_translation(translation, documents)
    if as_json:
        echo(json.dumps({**plan.to_raw(), "applied": apply and not plan.refused}))
    else:
        _show(plan)
        if apply and not plan.refused and plan.release is not None:
            metadata = plan.release["metadata"]
            echo(f"\nRelease {metadata['namespace']}/{metadata['name']} is created. Follow it with:", err=True)
            echo(f"  pointsman watch {metadata['name']} -n {metadata['namespace']}", err=True)
    if plan.refused:
        raise typer.Exit(FAILED)


def _wrong_use(sentence: str) -> NoReturn:
    echo(f"pointsman adopt: {sentence}", err=True)
    raise typer.Exit(WRONG_USE)


async def _planned(
    namespace: str | None, name: str, translation: Translation | None, kube: KubeClient, *, apply: bool
) -> AdoptionPlan:
    home = namespace or kube.namespace
    try:
        deployment = await kube.get(DEPLOYMENTS, home, name)
    except NotFoundError:
        there = sorted(item["metadata"]["name"] for item in await kube.list(DEPLOYMENTS, home))[:10]
        hint = f"there are: {', '.join(there)}" if there else "there are none; name another with -n"
        raise CommandError(f"no Deployment {name!r} in namespace {home}; {hint}") from None
    services, routes, ingresses, autoscalers, budgets, pods = await asyncio.gather(
        kube.list(SERVICES, home),
        _list_known(kube, HTTP_ROUTES, home),
        kube.list(INGRESSES, home),
        kube.list(HORIZONTAL_POD_AUTOSCALERS, home),
        kube.list(POD_DISRUPTION_BUDGETS, home),
        kube.list(PODS, home),
    )
    plan = plan_adoption(Found(deployment, services, routes, ingresses, autoscalers, budgets, pods))
    if translation is not None:
        plan = with_words_of(plan, translation)
    if plan.release is not None:
        release = plan.release["metadata"]["name"]
        if await kube.find(RELEASES, home, release) is not None:
            raise CommandError(
                f"Release {home}/{release} exists already; `pointsman explain {release}` says where it is"
            )
        if apply and not plan.refused:
            await kube.create(RELEASES, home, plan.release, strict=True)
    return plan


async def _list_known(kube: KubeClient, resource: Resource, namespace: str) -> list[dict[str, Any]]:
    """None where the cluster does not know the kind."""
    try:
        return await kube.list(resource, namespace)
    except NotFoundError:
        return []


def _show(plan: AdoptionPlan) -> None:
    if plan.release is not None:
        echo(yaml.safe_dump(plan.release, sort_keys=False, default_flow_style=False).rstrip())
    for title, sentences in (("What happens", plan.steps), ("To know", plan.notes), ("Not possible", plan.refused)):
        if sentences and (title != "What happens" or not plan.refused):
            echo(f"\n{title}:", err=True)
            for number, sentence in enumerate(sentences, 1):
                echo(f"  {number}. {sentence}" if title == "What happens" else f"  * {sentence}", err=True)
