"""Commands that look: `get`, `explain`, `wait`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from controller.analysis.record import MalformedRunError, pod_evidence_of, youngest
from controller.analysis.runs import RunReader
from controller.api.names import RELEASE_LABEL
from controller.api.phase import Phase
from controller.api.reading import SpecError, parse_duration
from controller.api.resources import ANALYSIS_RUNS, RELEASES
from controller.api.status_format import status_from_raw
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, OutputOption, find_release, with_cluster
from controller.cli._options import FAILED, WAITS_FOR_PERSON, WRONG_USE, Output
from controller.cli._terminal import Terminal, echo, say
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.views.explanation import Explanation
from controller.views.fleet import listing, row_of

_POLL_S = 0.5
Name = Annotated[str, typer.Argument(metavar="RELEASE")]


def register(app: typer.Typer) -> None:
    app.command("get")(get)
    app.command("explain")(explain)
    app.command("wait")(wait)


def get(
    name: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="Only this one.")] = None,
    namespace: Namespace = None,
    every: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")] = False,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List Releases: where each stands, and what the decision hangs on.

    \b
    pointsman get -A
    pointsman get invitation-api -n shop -o json
    """  # noqa: D301 - \b keeps the lines of the examples

    async def read(kube: KubeClient) -> list[dict[str, Any]]:
        home = None if every else namespace or kube.namespace
        if name is not None:
            return [await find_release(kube, home or kube.namespace, name)]
        return await kube.list(RELEASES, home)

    releases = with_cluster(kubeconfig, read)
    if output is Output.JSON:
        echo(json.dumps([row_of(release) for release in releases]))
    elif not releases:
        echo("no Releases here; -A lists all namespaces", err=True)
    else:
        terminal = Terminal()
        terminal.print(listing(releases, time.time(), terminal.width, with_namespace=every))


def explain(
    name: Name, namespace: Namespace = None, kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT
) -> None:
    """Say why a Release is where it is: counts, boundary, what is awaited, the next useful command.

    \b
    pointsman explain invitation-api -n shop
    """  # noqa: D301 - \b keeps the lines of the examples

    async def read(kube: KubeClient) -> Explanation:
        return await explanation_of(kube, namespace or kube.namespace, name)

    found = with_cluster(kubeconfig, read)
    if output is Output.JSON:
        echo(json.dumps(found.as_json()))
        return
    for line in found.lines(time.time()):
        say(line)


async def explanation_of(kube: KubeClient, namespace: str, name: str, runs: RunReader | None = None) -> Explanation:
    """Judges the recorded counts again, with the operator's own code. `runs`: what was read before."""
    release = await find_release(kube, namespace, name)
    run = release.get("status", {}).get("analysisRun") or await _last_run(kube, namespace, name)
    try:
        record = await (runs or RunReader(kube)).read(Key(namespace, name), run) if run else None
    except MalformedRunError as error:
        return Explanation(release, run=run, alpha=None, evidence=None, problem=str(error))
    if record is None:
        return Explanation(release, run="", alpha=None, evidence=None)
    return Explanation(
        release,
        run=run,
        alpha=record.plan.alpha,
        evidence=record.judge.evidence(),
        copies=bool(record.looks) and all(look.copied for look in record.looks),
        fresh_baseline=bool(record.looks) and record.looks[-1].baseline is not None,
        rejected=str(record.pages[0]["spec"].get("canaryRevision", "")),
        pod_evidence=pod_evidence_of(record),
    )


async def _last_run(kube: KubeClient, namespace: str, name: str) -> str:
    pages = await kube.list(ANALYSIS_RUNS, namespace, labels=f"{RELEASE_LABEL}={name}")
    last = youngest(Key(namespace, name), pages)
    return str(last["metadata"]["name"]) if last is not None else ""


def wait(
    name: Name,
    namespace: Namespace = None,
    until: Annotated[str, typer.Option("--for", help="done: promoted, rolled back, or waiting for a person.")] = "done",
    timeout: Annotated[str, typer.Option(help="Give up after this.")] = "1h",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Wait until a release is over. Exit code 0 promoted, 1 rolled back or invalid, 3 waiting for a person.

    \b
    pointsman wait invitation-api -n shop --timeout 30m
    """  # noqa: D301 - \b keeps the lines of the examples
    if until != "done":
        echo(f"pointsman wait: --for {until} is not known; it can be: done", err=True)
        raise typer.Exit(WRONG_USE)
    try:
        patience = parse_duration(timeout, "--timeout")
    except SpecError as error:
        echo(f"pointsman wait: {error}", err=True)
        raise typer.Exit(WRONG_USE) from None

    async def watch(kube: KubeClient) -> int:
        return await _until_done(kube, namespace or kube.namespace, name, patience)

    raise typer.Exit(with_cluster(kubeconfig, watch))


async def _until_done(kube: KubeClient, namespace: str, name: str, patience: float) -> int:
    said = ""
    deadline = time.monotonic() + patience
    while True:
        release = await find_release(kube, namespace, name)
        status = status_from_raw(release.get("status", {}))
        line = f"{status.phase} ({status.reason}): {status.message}"
        if line != said:
            said = line
            echo(line)
        code = exit_code(release)
        if code is not None:
            return code
        if time.monotonic() > deadline:
            raise CommandError(f"{name} is not done after {patience:g} s: {line}")
        await asyncio.sleep(_POLL_S)


def exit_code(release: Mapping[str, Any]) -> int | None:
    """As `wait` ends; None while it goes on."""
    raw = release.get("status", {})
    if raw.get("observedGeneration", -1) < release["metadata"]["generation"]:
        return None
    status = status_from_raw(raw)
    match status.phase:
        case Phase.HEALTHY:
            return 0
        case Phase.ROLLED_BACK | Phase.INVALID:
            return FAILED
        case Phase.PAUSED:
            return WAITS_FOR_PERSON
        case _:
            return None
