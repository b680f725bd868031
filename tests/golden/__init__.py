"""Manifests that the API server accepts (`valid/`) and refuses (`invalid/`), and what it says.

The first line of an invalid one is `# expect: ` and a part of the API server's message. The second, where a cluster
is not needed to see it, is `# validate: ` and the start of what `pointsman validate` says of it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.api.names import GROUP, VERSION
from controller.api.resources import (
    ANALYSIS_RUNS,
    METRIC_SOURCES,
    METRIC_TEMPLATES,
    RELEASE_ACTIONS,
    RELEASE_REPOSITORIES,
    RELEASES,
    Resource,
)

_HERE = Path(__file__).parent
STEPS = _HERE.parents[1] / "gitops/steps"
_EXPECT, _VALIDATE = "# expect: ", "# validate: "
_OWN = (RELEASES, ANALYSIS_RUNS, METRIC_TEMPLATES, METRIC_SOURCES, RELEASE_ACTIONS, RELEASE_REPOSITORIES)
KINDS: dict[str, Resource] = {resource.kind: resource for resource in _OWN}


@dataclass(frozen=True)
class Invalid:
    file: Path
    expect: str
    validate: str | None

    @property
    def raw(self) -> dict[str, Any]:
        return load(self.file)


def load(file: Path) -> dict[str, Any]:
    """The first object: rights that go with it follow."""
    raw: dict[str, Any] = next(yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader))
    return raw


def valid() -> list[Path]:
    """With the example of each step type."""
    return [*sorted((_HERE / "valid").glob("*.yaml")), *sorted(STEPS.glob("*.yaml"))]


def invalid() -> list[Invalid]:
    return [_invalid(file) for file in sorted((_HERE / "invalid").glob("*.yaml"))]


def _invalid(file: Path) -> Invalid:
    first, second = file.read_text().splitlines()[:2]
    if not first.startswith(_EXPECT):
        raise AssertionError(f"{file}: the first line is not {_EXPECT!r} and a message")
    return Invalid(
        file=file,
        expect=first.removeprefix(_EXPECT),
        validate=second.removeprefix(_VALIDATE) if second.startswith(_VALIDATE) else None,
    )


def release(name: str = "shop", **spec: Any) -> dict[str, Any]:
    """As small as a Release can be, and what else is wanted."""
    container = {"name": "web", "image": "example.com/web:1"}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Release",
        "metadata": {"name": name},
        "spec": {
            "template": {"spec": {"containers": [container]}},
            "service": {"ports": [{"port": 80}]},
            "traffic": {"replicas": {}},
            **spec,
        },
    }


def own(kind: str, name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}, "spec": spec, **more}
