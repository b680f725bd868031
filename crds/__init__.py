"""The CustomResourceDefinitions, as package data (see `hack/gen-crd`)."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml


def texts() -> dict[str, str]:
    """The YAML of each CRD by its plural name, such as `releases`."""
    files = sorted(
        (file for file in resources.files(__name__).iterdir() if file.name.endswith(".yaml")),
        key=lambda file: file.name,
    )
    return {file.name.partition("_")[2].removesuffix(".yaml"): file.read_text(encoding="utf-8") for file in files}


def definitions() -> list[dict[str, Any]]:
    """The CRDs as objects, to create them or to look something up."""
    return [yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) for text in texts().values()]  # noqa: S506 - both are safe
