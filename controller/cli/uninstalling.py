"""`pointsman uninstall`: the operator goes, with its roles and policies, once no Release is left that needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from controller.api.resources import RELEASES
from controller.cli._cluster import CommandError, Kubeconfig, with_cluster
from controller.cli._installed import Installed, count, crds, home_of, installed
from controller.cli._options import WRONG_USE
from controller.cli._terminal import echo
from controller.kube.client import KubeClient, NotFoundError

_SHOWN = 10


@dataclass(frozen=True)
class Uninstalled:
    namespace: str
    goes: tuple[Installed, ...]
    with_crds: tuple[tuple[str, int], ...]
    """Name of each CRD that goes, and how many objects go with it."""
    stays: tuple[str, ...]
    """CRDs that stay."""


def register(app: typer.Typer) -> None:
    app.command("uninstall")(uninstall)


def uninstall(
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="The operator's. Default: the one that its role is bound in."),
    ] = None,
    with_crds: Annotated[
        bool, typer.Option("--crds", help="The CRDs as well, with MetricTemplates and all else.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it. Without this nothing is changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go, as without --yes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Take Pointsman out of the cluster: what gitops/install and gitops/sync have put there.

    Refused while there are Releases: eject or delete them first. Without --yes
    it prints what would go, and changes nothing. CRDs stay without --crds; the
    namespace stays, with Secrets and what else is in it. What Helm has
    installed goes with `helm uninstall`. Run it again after a failure: what
    is gone is no error.
    Exit code 0: done, or printed, 1: refused, 2: wrong use.

    \b
    pointsman uninstall
    pointsman uninstall --yes
    pointsman uninstall --crds --yes
    """  # noqa: D301 - \b keeps the lines of the examples
    if yes and dry_run:
        echo("pointsman uninstall: say --yes or --dry-run, not both", err=True)
        raise typer.Exit(WRONG_USE)
    done = with_cluster(kubeconfig, partial(_uninstall, namespace, with_crds=with_crds, yes=yes))
    if as_json:
        crd_rows = [{"name": name, "objects": objects} for name, objects in done.with_crds]
        raw = {"namespace": done.namespace, "goes": [one.to_raw() for one in done.goes], "crds": crd_rows}
        echo(json.dumps({**raw, "stays": list(done.stays), "applied": yes}))
    else:
        _show(done, yes=yes)


async def _uninstall(namespace: str | None, kube: KubeClient, *, with_crds: bool, yes: bool) -> Uninstalled:
    home = await home_of(kube, namespace)
    await _refuse_releases(kube)
    found, definitions = await installed(kube, home), await crds(kube)
    going = definitions if with_crds else []
    plan = Uninstalled(
        home,
        tuple(found),
        tuple([(one.name, await count(kube, one)) for one in going]),
        tuple(one.name for one in definitions if one not in going),
    )
    if yes:
        for one in found:
            await kube.delete(one.resource, one.namespace, one.name)
        if going:
            await _refuse_releases(kube)  # somebody may have made one since, and it would go with its CRD
        for one in going:
            await kube.delete(one.resource, None, one.name)
    return plan


async def _refuse_releases(kube: KubeClient) -> None:
    """Without the operator nobody would judge them, move their traffic, or let them go."""
    try:
        releases = await kube.list(RELEASES)
    except NotFoundError:
        return  # the CRD is gone, and they with it
    names = sorted(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in releases)
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        space, _, name = names[0].partition("/")
        raise CommandError(
            f"there are Releases: {', '.join(names[:_SHOWN])}{more}. `pointsman eject {name} -n {space}` leaves what "
            f"it runs, `kubectl delete release {name} -n {space}` takes it away; then uninstall again"
        )


def _show(done: Uninstalled, *, yes: bool) -> None:
    if not done.goes and not done.with_crds:
        echo(f"Nothing of Pointsman is installed in namespace {done.namespace}.")
    elif yes:
        echo("Gone:")
    else:
        echo("Would go:")
    for one in done.goes:
        echo(f"  {one}")
    for name, objects in done.with_crds:
        echo(f"  CustomResourceDefinition {name}, with {objects} object{'' if objects == 1 else 's'}")
    if done.stays:
        echo(f"CRDs stay: {', '.join(done.stays)}")
    if done.goes:
        echo(f"Namespace {done.namespace} stays, with what else is in it.")
    if not yes and (done.goes or done.with_crds):
        echo("Nothing is changed. Add --yes to do it; take it out of git first, or it comes back.", err=True)
