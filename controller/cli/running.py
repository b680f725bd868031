"""`run`: the operator."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import sys
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer

from controller.decision_log.sinks import (
    ANNOTATIONS_TOKEN,
    DECISIONS_TOKEN,
    SinkSettingsError,
    sink_settings,
)
from controller.kube.client import KindsGoneError, KubeError
from controller.kube.lease import LeaseLostError
from controller.runtime.ending import until_signal
from controller.runtime.reachability import NETWORK_S
from controller.runtime.settings import settings


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def network(text: str, option: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write it as 10.20.0.0/16", param_hint=option) from error


def run(
    *,
    namespace: Annotated[
        str | None,
        typer.Option(help="The operator's own: its Lease and the shared metric library. In a pod: the pod's."),
    ] = None,
    address: Annotated[str, typer.Option(help="Where /healthz, /readyz and /metrics are served.")] = "0.0.0.0",  # noqa: S104 - probes come to the pod's address
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of these. 0 takes a free one.")] = 8081,
    ledger_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where queue workers reach their ledgers. 0 takes a free one.")
    ] = 8082,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Releases that are worked on at once.")] = 8,
    only: Annotated[
        str | None, typer.Option("--only-namespace", help="Work on the Releases of this namespace, and need no more.")
    ] = None,
    lease: Annotated[
        float, typer.Option("--lease-seconds", min=1, help="How long a dead operator keeps the next one waiting.")
    ] = 15,
    network_seconds: Annotated[
        float,
        typer.Option(
            "--network-seconds",
            min=0,
            max=600,
            help="How long a version's first ready pod may take to be reached from every node. It gets no work before.",
        ),
    ] = NETWORK_S,
    source_network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="Where MetricSources outside the operator's own namespace may be, besides the internet. Repeatable.",
        ),
    ] = None,
    decisions_url: Annotated[
        str,
        typer.Option(
            envvar="POINTSMAN_DECISIONS_URL",
            help=f"The InfluxDB 2 that decisions are written to, for dashboards; the token is in {DECISIONS_TOKEN}.",
        ),
    ] = "",
    decisions_org: Annotated[str, typer.Option(envvar="POINTSMAN_DECISIONS_ORG", help="Its organization.")] = "",
    decisions_bucket: Annotated[str, typer.Option(envvar="POINTSMAN_DECISIONS_BUCKET", help="The bucket there.")] = "",
    annotations_url: Annotated[
        str,
        typer.Option(
            envvar="POINTSMAN_ANNOTATIONS_URL",
            help=f"The Grafana that gets an annotation for each step and verdict; the token is in {ANNOTATIONS_TOKEN}.",
        ),
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request that failed, and more.")] = False,
) -> None:
    """Run the operator, in a pod or against KUBECONFIG.

    \b
    pointsman run
    KUBECONFIG=~/.kube/config pointsman run --namespace pointsman-system --port 0 --ledger-port 0
    pointsman run --source-network 10.20.0.0/16      # tenants' own InfluxDBs
    pointsman run --decisions-url http://influxdb:8086 --decisions-org example --decisions-bucket metrics
    """  # noqa: D301 - \b keeps the lines of the examples
    # kopf takes a second that no other command should pay
    from controller.runtime import kopf_adapter, operator  # noqa: PLC0415

    try:
        sinks = sink_settings(
            decisions_url=decisions_url,
            decisions_org=decisions_org,
            decisions_bucket=decisions_bucket,
            annotations_url=annotations_url,
            environ=os.environ,
        )
    except SinkSettingsError as error:
        raise typer.BadParameter(str(error)) from None
    set_up_logging(verbose=verbose)
    chosen = settings(
        namespace=namespace,
        address=address,
        port=port,
        ledger_port=ledger_port,
        workers=workers,
        only=only,
        lease_s=lease,
        network_s=network_seconds,
        source_networks=[network(one, "--source-network") for one in source_network or ()],
        sinks=sinks,
    )
    try:
        asyncio.run(until_signal(operator.run(chosen, kopf_adapter.watch)))
    except (KubeError, LeaseLostError, KindsGoneError, BaseExceptionGroup) as problem:
        stop_for(problem)


def stop_for(problem: BaseException) -> NoReturn:
    """Ends the process with a sentence; a defect is raised again."""
    known, others = _sort_problems(problem)
    if others:
        raise problem
    raise SystemExit(f"pointsman: {'; '.join(dict.fromkeys(known))}") from None


def set_up_logging(*, verbose: bool) -> None:
    """`verbose` is about the operator alone: at DEBUG botocore logs signed headers with their session's token, and at
    INFO httpx logs URLs, which are the secret of some receivers.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("controller").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("kopf").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("kubernetes").setLevel(logging.ERROR)  # it warns of a file that is not there, and so do we


def _sort_problems(problem: BaseException) -> tuple[list[str], list[BaseException]]:
    """Sentences for what a person can do something about, and what is a defect."""
    known, others = list[str](), list[BaseException]()
    for error in _leaves(problem):
        match error:
            case LeaseLostError():
                known.append(f"{error}; stopping, so that two never lead")
            case KindsGoneError():
                known.append(f"{error}; stopping, to wait for them at the next start")
            case KubeError():
                known.append(f"the API server refused: {error}")
            case _:
                others.append(error)
    return known, others


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
