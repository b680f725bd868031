"""`pointsman plan`: what a Release's analysis can see, before anything is risked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from controller import registry
from controller.analysis.method import method_of
from controller.analysis.past import baseline_counts
from controller.analysis.sources import MetricTroubleError, Sources
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec, parse_release
from controller.api.resources import NAMESPACES
from controller.api.status_format import status_from_raw
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, find_release, with_cluster
from controller.cli._manifest import ManifestError, read_release
from controller.cli._options import WRONG_USE, read_level
from controller.cli._plan_rows import shown
from controller.cli._power_plan import Planned, advice, foresee
from controller.cli._terminal import Terminal, echo, say
from controller.kube.client import InvalidError, KubeClient
from controller.kube.objects import Key
from controller.stats.power import Level

_MEASURED_S = 600.0


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)


def plan(
    subject: Annotated[
        str, typer.Argument(metavar="RELEASE|FILE", help="A Release of the cluster, or a manifest with one.")
    ],
    rate: Annotated[
        float | None, typer.Option(help="Requests per second of both versions together. A file needs it.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Stable's share of bad units, such as 0.1%. A file needs it.")
    ] = None,
    namespace: Namespace = None,
    operator_namespace: Annotated[
        str, typer.Option(help="Where shared templates and sources are.")
    ] = "pointsman-system",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what a Release's analysis can see with its traffic, step by step.

    Minutes until a canary that is 1.5, 2 and 5 times as bad is taken back,
    the chance that it is before atMost, and whether a good one can be proven
    no worse by then. For a Release of the cluster the traffic of the last ten
    minutes is asked of its MetricSources, which you have to reach from here,
    with your right to read their Secret.
    Exit code 0: done, 1: the cluster or a source refused, 2: wrong use.

    \b
    pointsman plan release.yaml --rate 50 --base 0.1%
    pointsman plan invitation-api -n shop
    """  # noqa: D301 - \b keeps the lines of the examples
    try:
        given = read_level(rate, base)
        if _is_file(subject):
            planned = _of_file(subject, given)
        else:
            planned = with_cluster(kubeconfig, partial(_of_cluster, subject, namespace, operator_namespace, given))
    except (ManifestError, SpecError) as error:
        echo(f"pointsman plan: {error}", err=True)
        raise typer.Exit(WRONG_USE) from None
    rows = foresee(planned)
    sentences = [*planned.notes, *advice(rows, planned)]
    if as_json:
        echo(json.dumps({"rows": [asdict(row) for row in rows], "advice": sentences}))
        return
    for line in (*shown(rows, Terminal().width), *sentences):
        say(line)


def _is_file(subject: str) -> bool:
    path = Path(subject)
    return path.suffix in {".yaml", ".yml", ".json"} or path.is_file() or len(path.parts) > 1


def _of_file(file: str, given: Level | None) -> Planned:
    """Raises ManifestError, SpecError."""
    spec = read_release(file)
    if given is None:
        raise SpecError("--rate", "is required with a file, and so is --base: no cluster can be queried")
    return Planned(spec, _same(spec, given))


def _same(spec: ReleaseSpec, level: Level) -> dict[str, Level]:
    return {metric.name: level for metric in spec.analysis.metrics}


async def _of_cluster(
    name: str, namespace: str | None, operator_namespace: str, given: Level | None, kube: KubeClient
) -> Planned:
    """Raises CommandError, KubeError."""
    release = await find_release(kube, namespace or kube.namespace, name)
    key = Key(release["metadata"]["namespace"], name)
    try:
        spec = parse_release(name, release["spec"], registry.kinds())
    except SpecError as error:
        raise CommandError(str(error)) from error
    if given is not None:
        return Planned(spec, _same(spec, given))
    status = status_from_raw(release.get("status", {}))
    if not status.stable:
        raise CommandError(f"no version of {name} serves yet, so nothing can be asked: give --rate and --base")
    sources = Sources(kube, cluster=await _cluster_id(kube), own_namespace=operator_namespace)
    try:
        found, thresholds = await baseline_counts(sources, key, spec.analysis.metrics, status, seconds=_MEASURED_S)
    except MetricTroubleError as error:
        raise CommandError(f"{error}; or give --rate and --base") from error
    finally:
        await sources.close()
    names = [metric.name for metric in method_of(spec.analysis, thresholds=thresholds).metrics]
    levels, notes = _levels({name: found.get(name, (0, 0)) for name in names})
    return Planned(spec, levels, thresholds, notes)


def _levels(found: Mapping[str, tuple[int, int]]) -> tuple[dict[str, Level], tuple[str, ...]]:
    """Raises CommandError where nobody called."""
    levels, notes = {}, []
    for name, (bad, total) in found.items():
        if total == 0:
            minutes = f"{_MEASURED_S / 60:.0f} min"
            raise CommandError(f"metric {name} counted nothing in the last {minutes}: give --rate and --base")
        if bad == 0:
            notes.append(
                f"{name}: none of {total} was bad in the last {_MEASURED_S / 60:.0f} min; reckoned with a half"
            )
        levels[name] = Level(total / _MEASURED_S, max(bad, 0.5) / total)
    return levels, tuple(notes)


async def _cluster_id(kube: KubeClient) -> str:
    """Only templates that name the cluster need it, and not everybody may read it."""
    try:
        return str((await kube.get(NAMESPACES, None, "kube-system"))["metadata"]["uid"])
    except InvalidError:
        return ""
