"""What stands beside a Release, as a GitOps agent applies it; the Release itself comes by commit."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from hack.install import Kubectl

_NOT_BESIDE = {"Namespace", "Release"}


def apply_beside(kubectl: Kubectl, folder: Path, namespace: str, settings: Mapping[str, str] | None = None) -> None:
    """The objects of a kustomization, in this namespace; `settings` go into its ConfigMap."""
    rendered = list(yaml.safe_load_all(kubectl("kustomize", folder)))
    beside = [each for each in rendered if each["kind"] not in _NOT_BESIDE]
    for each in beside:
        each["metadata"]["namespace"] = namespace
        if each["kind"] == "ConfigMap":
            each["data"] |= settings or {}
    kubectl.apply("-f", "-", text=yaml.safe_dump_all(beside))
