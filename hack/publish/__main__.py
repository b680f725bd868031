"""`python -m hack.publish DIRECTORY --version V`: the images of a release, each for two kinds of machine.

Writes into DIRECTORY, for each image, NAME (an OCI layout, whose index.json is the image index) and
NAME.ARCHITECTURE.cdx.json (its SBOM). Prints lines `NAME index DIGEST` and `NAME ARCHITECTURE DIGEST`, by image.
"""

import argparse
import sys
from pathlib import Path

from hack.node.commands import output_of
from hack.node.paths import CHECKOUT
from hack.node.trouble import TroubleError
from hack.publish.release import DOCKERFILES, Release


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.publish", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--version", required=True, help="of the images")
    arguments = parser.parse_args()
    try:
        revision, created = output_of(["git", "-C", str(CHECKOUT), "log", "-1", "--format=%H %cI"]).split()
        release = Release(arguments.directory.resolve(), version=arguments.version, revision=revision, created=created)
        published = {name: release.publish(name) for name in DOCKERFILES}
    except TroubleError as trouble:
        print(f"release: {trouble}", file=sys.stderr)
        return 1
    release.clean()
    for name, made in published.items():
        print(name, "index", made.index)
        for architecture, digest in sorted(made.manifests.items()):
            print(name, architecture, digest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
