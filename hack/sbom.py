"""`python -m hack.sbom DIRECTORY --version V`: what is in each image, as CycloneDX documents.

An image holds the packages of its requirements.txt, by hash, what Pointsman itself is, and a base image, which whoever
publishes it describes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from workloads.pin import CHECKOUT, IMAGES

NAMES = {
    "controller/requirements.txt": "pointsman",
    "workloads/subject/requirements.txt": "subject",
    "workloads/image_worker/requirements.txt": "image-worker",
    "workloads/invitations/requirements.txt": "invitations",
}


def sbom(requirements: str, *, version: str) -> dict[str, Any]:
    """The same bytes for the same requirements: no time and no random number is in it."""
    said = subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", CHECKOUT / requirements),
            *("--output-reproducible", "--short-PURLs", "--sv", "1.6", "--of", "JSON"),
        ],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    document: dict[str, Any] = json.loads(said)
    name = NAMES[requirements]
    document["metadata"]["component"] = {
        "type": "container",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    described = document["metadata"]["component"]["bom-ref"]
    document.setdefault("dependencies", []).insert(
        0, {"ref": described, "dependsOn": [each["bom-ref"] for each in document["components"]]}
    )
    return document


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.sbom", description=__doc__)
    parser.add_argument("directory", type=Path, help="one NAME.cdx.json for each image is written there")
    parser.add_argument("--version", required=True, help="of the images")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for requirements in IMAGES:
        file = arguments.directory / f"{NAMES[requirements]}.cdx.json"
        file.write_text(json.dumps(sbom(requirements, version=arguments.version), indent=1) + "\n")
        print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
