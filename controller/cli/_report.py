"""What `validate` has found, and the forms in which people and their CI read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from urllib.parse import quote

from controller.api.reading import SpecError
from controller.cli._documents import Document

_LONGEST = 600
"""Characters of a problem: a value may be as long as a file."""
_COMMANDS = ("::", "##[")
"""A line that starts so commands a runner of GitHub Actions, and a file can have any name."""


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    GITLAB = "gitlab"
    SARIF = "sarif"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class UnwiseError(SpecError):
    """Works, and may not be what is meant."""


@dataclass(frozen=True)
class Problem:
    file: str
    line: int
    object: str
    path: str
    problem: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        file = f"./{self.file}" if self.file.startswith(_COMMANDS) else self.file
        return f"{file}:{self.line}: {self.sentence}"

    @property
    def sentence(self) -> str:
        grade = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.path}: {grade}{self.problem}" if self.path else f"{grade}{self.problem}"

    @property
    def description(self) -> str:
        """For those who are shown file and line beside it."""
        return f"{self.object}: {self.sentence}" if self.object else self.sentence

    @property
    def fingerprint(self) -> str:
        """The same, on whatever line it stands."""
        return sha256(f"{self.file}\0{self.object}\0{self.path}\0{self.problem}".encode()).hexdigest()


@dataclass
class Report:
    checked: int = 0
    skipped: int = 0
    problems: list[Problem] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Templates and sources that are named and not among the files, so nothing about their use is known."""
    left_out: list[str] = field(default_factory=list)
    """Files of a folder, each with the reason."""

    def add(self, document: Document, error: SpecError) -> None:
        severity = Severity.WARNING if isinstance(error, UnwiseError) else Severity.ERROR
        line = document.line(error.path)
        problem = one_line(error.problem)
        self.problems.append(Problem(document.file, line, document.title, one_line(error.path), problem, severity))

    def count(self, severity: Severity) -> int:
        return sum(problem.severity is severity for problem in self.problems)

    def summary(self) -> str:
        errors, warnings = self.count(Severity.ERROR), self.count(Severity.WARNING)
        said = f"{self.checked} checked, {errors} problems"
        said += f", {warnings} warnings" if warnings else ""
        said += f", {self.skipped} of other kinds skipped."
        if self.unknown:
            said += f" Not among these files, so their use was not checked: {', '.join(self.unknown)}."
        return said + "".join(f"\nNot checked: {one}." for one in self.left_out)


def one_line(text: str) -> str:
    """A key of YAML may hold line ends, and what follows one must not look like a line of ours."""
    shown = text.replace("\n", "\\n").replace("\r", "\\r")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def lines_of(report: Report, form: Form) -> Iterator[str]:
    yield from _FORMS[form](report)


def _text(report: Report) -> Iterator[str]:
    yield from map(str, report.problems)


def _json(report: Report) -> Iterator[str]:
    yield json.dumps(asdict(report), indent=2)


def _github(report: Report) -> Iterator[str]:
    """Workflow commands, which become annotations of the lines."""
    for one in report.problems:
        file, title = _property(one.file), _property(one.object or "pointsman validate")
        yield f"::{one.severity} file={file},line={one.line},title={title}::{_data(one.sentence)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _gitlab(report: Report) -> Iterator[str]:
    """GitLab's Code Quality report, which is a list of Code Climate's issues."""
    yield json.dumps(
        [
            {
                "description": one.description,
                "check_name": "pointsman-validate",
                "fingerprint": one.fingerprint,
                "severity": "major" if one.severity is Severity.ERROR else "minor",
                "location": {"path": one.file, "lines": {"begin": one.line}},
            }
            for one in report.problems
        ],
        indent=2,
    )


def _sarif(report: Report) -> Iterator[str]:
    """SARIF 2.1.0, which code scanning of GitHub reads, and many editors do."""
    rule = {
        "id": "pointsman-validate",
        "shortDescription": {"text": "A manifest that the cluster would refuse, or that does not do what it seems to"},
    }
    results = [
        {
            "ruleId": rule["id"],
            "level": str(one.severity),
            "message": {"text": one.description},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {
                            "uri": quote(one.file, errors="surrogateescape"),
                            "uriBaseId": "%SRCROOT%",
                        },
                        "region": {"startLine": max(one.line, 1)},
                    }
                }
            ],
            "partialFingerprints": {"pointsman/v1": one.fingerprint},
        }
        for one in report.problems
    ]
    driver = {"name": "pointsman validate", "rules": [rule]}
    run = {"tool": {"driver": driver}, "results": results}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    yield json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2)


_FORMS: Mapping[Form, Callable[[Report], Iterator[str]]] = {
    Form.TEXT: _text,
    Form.JSON: _json,
    Form.GITHUB: _github,
    Form.GITLAB: _gitlab,
    Form.SARIF: _sarif,
}
