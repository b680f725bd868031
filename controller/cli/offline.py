"""Commands that need no cluster: `crd` and `validate`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

import crds
from controller.cli._checks import Problem, Report, check
from controller.cli._documents import SUFFIXES, Document, read_documents
from controller.cli._files import UnreadableError, files_of
from controller.cli._options import FAILED, WRONG_USE, Output
from controller.cli._terminal import echo, say


def register(app: typer.Typer) -> None:
    app.command("crd")(print_crds)
    app.command("validate")(validate)


def print_crds(
    name: Annotated[str, typer.Option(metavar="PLURAL", help="Only this one, such as releases.")] = "",
) -> None:
    """Print the CustomResourceDefinitions.

    \b
    pointsman crd | kubectl apply --server-side -f -
    pointsman crd --name releases
    """  # noqa: D301 - \b keeps the lines of the examples
    texts = crds.texts()
    if name and name not in texts:
        echo(f"pointsman crd: there is no CRD {name!r}; there are: {', '.join(texts)}", err=True)
        raise typer.Exit(WRONG_USE)
    chosen = [texts[name]] if name else list(texts.values())
    echo("---\n".join(chosen), nl=False)


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE|DIR|-...", help="Manifests; - reads standard input.")],
    output: Annotated[Output, typer.Option(help="As lines FILE:LINE: FIELD: SENTENCE, or as one JSON object.")] = (
        Output.TEXT
    ),
) -> None:
    """Check manifests as far as that goes without a cluster.

    Knows Release, MetricTemplate, MetricSource and ReleaseAction, and says
    each problem with its line and field. What is given together is checked
    together, so name the metric library too.
    Exit code 0: no problem, 1: problems, 2: wrong use.

    \b
    pointsman validate deploy/
    pointsman validate release.yaml gitops/library
    kubectl kustomize overlays/production | pointsman validate -
    """  # noqa: D301 - \b keeps the lines of the examples
    try:
        names = files_of(files, SUFFIXES)
    except UnreadableError as error:
        echo(f"pointsman validate: {error.file}: {error.problem}", err=True)
        raise typer.Exit(WRONG_USE) from error
    found: list[Document] = []
    unreadable: list[Problem] = []
    for name in names:
        try:
            found += read_documents(name)
        except UnreadableError as error:
            unreadable.append(Problem(error.file, error.line, "", error.path, error.problem))
    report = asyncio.run(check(found))
    report.problems = sorted([*unreadable, *report.problems], key=lambda problem: (problem.file, problem.line))
    _say(report, output)
    if report.problems:
        raise typer.Exit(FAILED)


def _say(report: Report, output: Output) -> None:
    if output is Output.JSON:
        echo(json.dumps(asdict(report), indent=2))
        return
    for problem in report.problems:
        say(str(problem))
    said = f"{report.checked} checked, {len(report.problems)} problems, {report.skipped} of other kinds skipped."
    if report.unknown:
        said += f" Not among these files, so their use was not checked: {', '.join(report.unknown)}."
    echo(said, err=True)
