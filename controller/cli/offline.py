"""Commands that need no cluster: `crd` and `validate`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

import crds
from controller.api.reading import SpecError
from controller.cli._checks import check
from controller.cli._documents import TooMuchError
from controller.cli._files import UnreadableError
from controller.cli._kustomize import build
from controller.cli._manifests import read_manifests
from controller.cli._options import FAILED, WRONG_USE, read_level
from controller.cli._report import Form, Problem, Severity, lines_of, one_line
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
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|DIR|-...", help="Manifests; - reads standard input.")
    ] = None,
    kustomize: Annotated[
        list[str] | None, typer.Option("--kustomize", "-k", metavar="DIR", help="What kustomize makes of this folder.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Leave these files and folders out: a path or a name, with * ? []."),
    ] = None,
    output: Annotated[
        Form,
        typer.Option(
            "--output",
            "-o",
            help="Lines FILE:LINE: FIELD: SENTENCE, one JSON object, SARIF, or for the CI of GitHub or GitLab.",
        ),
    ] = Form.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are problems, too.")] = False,
    rate: Annotated[
        float | None, typer.Option(help="Requests per second: can the steps gather evidence with these? With --base.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Stable's share of bad units, such as 0.1%. With --rate.")
    ] = None,
) -> None:
    """Check manifests as far as that goes without a cluster.

    Knows Release, MetricTemplate, MetricSource and ReleaseAction, and says
    each problem with its line and field. What is given together is checked
    together, so name the metric library too, and the Services and routes
    beside a Release. Folders are searched; other YAML in them is left alone.
    Exit code 0: no problem, 1: problems, 2: wrong use.

    \b
    pointsman validate deploy/
    pointsman validate . --exclude deploy/drafts --exclude '*.tmpl.yaml'
    pointsman validate release.yaml gitops/library
    pointsman validate -k overlays/production --output github
    kubectl kustomize overlays/production | pointsman validate -
    pointsman validate release.yaml --rate 50 --base 0.1%
    """  # noqa: D301 - \b keeps the lines of the examples
    if not files and not kustomize:
        echo("pointsman validate: name a file or a folder, or - for standard input, or -k DIR", err=True)
        raise typer.Exit(WRONG_USE)
    try:
        level = read_level(rate, base)
        built = {folder: build(folder) for folder in dict.fromkeys(kustomize or ())}
        manifests = read_manifests(files or [], built, exclude=exclude or [])
    except UnreadableError as error:
        echo(f"pointsman validate: {error.file}: {error.problem}", err=True)
        raise typer.Exit(WRONG_USE) from error
    except (TooMuchError, SpecError) as error:
        echo(f"pointsman validate: {error}", err=True)
        raise typer.Exit(WRONG_USE) from error
    report = asyncio.run(check(manifests.documents, level))
    report.skipped += manifests.others
    report.left_out = manifests.left_out
    report.problems = sorted(
        [*map(_unreadable, manifests.unreadable), *report.problems], key=lambda problem: (problem.file, problem.line)
    )
    for line in lines_of(report, output):
        (say if output is Form.TEXT else echo)(line)
    if output is not Form.JSON:
        echo(report.summary(), err=True)
    if report.problems if strict else report.count(Severity.ERROR):
        raise typer.Exit(FAILED)


def _unreadable(error: UnreadableError) -> Problem:
    return Problem(error.file, error.line, "", one_line(error.path), one_line(error.problem))
