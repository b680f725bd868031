"""`sync`: the built-in GitOps agent; `repositories`: what it follows."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from controller.api.resources import RELEASE_REPOSITORIES
from controller.cli._cluster import Kubeconfig, Namespace, OutputOption, with_cluster
from controller.cli._options import Output
from controller.cli._terminal import Terminal, echo
from controller.cli.running import network, set_up_logging, stop_for
from controller.kube.client import KindsGoneError, KubeClient, KubeError
from controller.kube.lease import LeaseLostError
from controller.runtime.ending import until_signal
from controller.runtime.settings import settings
from controller.views.repositories import listing, row_of


def register(app: typer.Typer) -> None:
    app.command("sync")(sync)
    app.command("repositories")(repositories)


def sync(
    *,
    namespace: Annotated[str | None, typer.Option(help="The agent's own, for its Lease. In a pod: the pod's.")] = None,
    address: Annotated[str, typer.Option(help="Where health, metrics and webhooks are served.")] = "0.0.0.0",  # noqa: S104 - probes come to the pod's address
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of /healthz, /readyz and /metrics. 0 takes a free one.")
    ] = 8081,
    hook_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of /v1/hook, for webhooks. 0 takes a free one.")
    ] = 8083,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Repositories that are applied at once.")] = 4,
    only: Annotated[
        str | None, typer.Option("--only-namespace", help="Follow the ReleaseRepositories of this namespace.")
    ] = None,
    lease: Annotated[
        float, typer.Option("--lease-seconds", min=1, help="How long a dead agent keeps the next one waiting.")
    ] = 15,
    git_network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="Where repositories may be besides all that is neither loopback nor link-local. Repeatable.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request that failed, and more.")] = False,
) -> None:
    """Apply what git repositories say: those of all ReleaseRepositories.

    Each is applied with the rights of the ServiceAccount that it names, and needs a Role by which this
    agent may impersonate that account.

    \b
    pointsman sync                                   # in a pod, see gitops/sync
    KUBECONFIG=~/.kube/config pointsman sync --namespace pointsman-system --port 0 --hook-port 0
    kubectl annotate rrepo shop --overwrite pointsman.dev/reconcile="$(date)"    # fetch now
    """  # noqa: D301 - \b keeps the lines of the examples
    # kopf takes a second that no other command should pay
    from controller.runtime import kopf_adapter  # noqa: PLC0415
    from controller.sync import agent  # noqa: PLC0415

    set_up_logging(verbose=verbose)
    chosen = settings(
        namespace=namespace,
        address=address,
        port=port,
        workers=workers,
        only=only,
        lease_s=lease,
        source_networks=[network(one, "--git-network") for one in git_network or ()],
    )
    try:
        asyncio.run(until_signal(agent.run(chosen, kopf_adapter.watch, hook_port=hook_port)))
    except (KubeError, LeaseLostError, KindsGoneError, BaseExceptionGroup) as problem:
        stop_for(problem)


def repositories(
    namespace: Namespace = None,
    every: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")] = False,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List ReleaseRepositories: which commit each has applied, and what went wrong.

    \b
    pointsman repositories -A
    pointsman repositories -n shop -o json
    """  # noqa: D301 - \b keeps the lines of the examples

    async def read(kube: KubeClient) -> list[dict[str, Any]]:
        return await kube.list(RELEASE_REPOSITORIES, None if every else namespace or kube.namespace)

    found = with_cluster(kubeconfig, read)
    if output is Output.JSON:
        echo(json.dumps([row_of(one) for one in found]))
    elif not found:
        echo("no ReleaseRepositories here; -A lists all namespaces", err=True)
    else:
        Terminal().print(listing(found, with_namespace=every))
