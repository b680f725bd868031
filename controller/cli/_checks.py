"""Everything that can be known about manifests without a cluster, each object by itself and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from controller.api.names import GROUP
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._callers import callers
from controller.cli._config_maps import configuration_problems
from controller.cli._documents import Document
from controller.cli._notify import notify_problems
from controller.cli._report import Report
from controller.cli._single import check_one
from controller.cli._together import Together
from controller.stats.power import Level


async def check(documents: Sequence[Document], level: Level | None = None) -> Report:
    """`level`: the traffic of the Releases, and stable's share of bad units, where these are known."""
    report = Report()
    own = [document for document in documents if document.api_version.partition("/")[0] == GROUP]
    report.checked, report.skipped = len(own), len(documents) - len(own)
    parsed: list[tuple[Document, Any]] = []
    seen: dict[tuple[str, ...], Document] = {}
    for document in own:
        found, result = check_one(document)
        for error in found:
            report.add(document, error)
        if result is not None:
            parsed.append((document, result))
        if document.name:
            # another folder is another overlay, or another cluster
            folder = str(PurePath(document.file).parent)
            twin = seen.setdefault((folder, document.kind, document.namespace, document.name), document)
            if twin is not document:
                where = f"{twin.file}:{twin.line('metadata.name')}"
                report.add(document, SpecError("metadata.name", f"duplicate {document.title}, first at {where}"))
    await Together(parsed, report, level).check()
    releases = [(document, spec) for document, spec in parsed if isinstance(spec, ReleaseSpec)]
    for document, error in (*configuration_problems(releases, documents), *callers(releases, documents)):
        report.add(document, error)
    async for document, error in notify_problems(releases, documents):
        report.add(document, error)
    report.problems.sort(key=lambda problem: (problem.file, problem.line))
    return report
