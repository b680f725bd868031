"""What is in each image, as a CycloneDX document: the Python packages by the hashes of their wheels, and Debian's."""

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hack.node.trouble import TroubleError
from hack.publish import wheels
from hack.publish.packages import Package


def sbom(
    name: str,
    *,
    version: str,
    architecture: str,
    requirements: Sequence[Path],
    installed: Collection[tuple[str, str]],
    debian: Sequence[Package] = (),
    debian_version: str = "",
) -> dict[str, Any]:
    """The same bytes for the same packages: no time and no random number is in it.

    `installed`: those of the image, by `wheels.key`. `requirements` lock others, for another Python or system.
    Raises TroubleError where they lock none of that name and version, which would be left out.
    """
    said = subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", "-"),
            *("--output-reproducible", "--short-PURLs", "--sv", "1.6", "--of", "JSON"),
        ],
        input="\n".join(file.read_text() for file in requirements),
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    document: dict[str, Any] = json.loads(said)
    locked = {wheels.key(each["name"], each["version"]) for each in document["components"]}
    if unknown := sorted(f"{package} {its}" for package, its in set(installed) - locked):
        files = " or ".join(map(str, requirements))
        raise TroubleError(f"image {name} for {architecture} has {', '.join(unknown)}, which {files} does not lock.")
    document["metadata"]["component"] = {
        "type": "container",
        "bom-ref": f"{name}@{version}?arch={architecture}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "properties": [{"name": "architecture", "value": architecture}],
    }
    listed = [each for each in document["components"] if wheels.key(each["name"], each["version"]) in installed]
    left_out = {each["bom-ref"] for each in document["components"]} - {each["bom-ref"] for each in listed}
    document["components"] = listed + [_of_debian(package, debian_version) for package in debian]
    described = document["metadata"]["component"]["bom-ref"]
    document["dependencies"] = [
        {"ref": described, "dependsOn": [each["bom-ref"] for each in document["components"]]},
        *(each for each in document.get("dependencies", ()) if each["ref"] not in left_out),
        *({"ref": _url(package, debian_version)} for package in debian),
    ]
    return document


def _of_debian(package: Package, release: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _url(package, release),
        "name": package.name,
        "version": package.version,
        "purl": _url(package, release),
    }


def _url(package: Package, release: str) -> str:
    """A package URL, by which scanners know it."""
    version = quote(package.version, safe="~")
    return f"pkg:deb/debian/{quote(package.name)}@{version}?arch={package.architecture}&distro=debian-{release}"
