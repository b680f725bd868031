"""The images of one version: this machine's from their Dockerfiles, and the other kind of machine's made of them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from hack.node import images, mounts
from hack.node.paths import CHECKOUT
from hack.node.progress import Steps
from hack.node.trouble import TroubleError
from hack.publish import base, checks, layout, packages, tree, trial, wheels
from hack.publish.layout import Image, Published
from hack.publish.machines import here, other
from hack.sbom import sbom

DOCKERFILES = {
    "pointsman": CHECKOUT / "controller/Dockerfile",
    "subject": CHECKOUT / "workloads/subject/Dockerfile",
    "image-worker": CHECKOUT / "workloads/image_worker/Dockerfile",
    "invitations": CHECKOUT / "workloads/invitations/Dockerfile",
}
PROGRAMS = {
    "pointsman": (
        ("/app/bin/kubectl", "version", "--client"),
        ("/usr/bin/git", "--version"),
        ("/usr/bin/gpg", "--version"),
        ("/usr/bin/ssh", "-V"),
    )
}
"""What an image runs beside its entry point, by name, with arguments by which it does nothing."""
_REVISION = "org.opencontainers.image.revision"
_VERSION = "org.opencontainers.image.version"
_SHOWN = 20


def requirements(dockerfile: Path) -> list[Path]:
    """The files of locked packages that an image installs."""
    return [CHECKOUT / path for path in images.copied(dockerfile.read_text()) if path.endswith(".txt")]


def labels(version: str, revision: str) -> dict[str, str]:
    return {_VERSION: version, _REVISION: revision}


class Release:
    """The images of one version, of one commit."""

    def __init__(self, directory: Path, *, version: str, revision: str, created: str) -> None:
        self._directory = directory
        self._work = directory / "build"
        self._version = version
        self._labels = labels(version, revision)
        self._created = created
        self._base: tree.Tree | None = None

    def publish(self, name: str) -> Published:
        """Makes the image's layout and SBOMs; a layout of this commit that is there already is complete."""
        place = self._directory / name
        if layout.labels_of(place) != self._labels:
            native = self._native(name)
            with Steps() as steps:
                self._finish(name, native, place, steps)
        return layout.published(place)

    def _finish(self, name: str, native: Image, place: Path, steps: Steps) -> None:
        with steps.step(f"{name} for {other(here()).architecture}", seconds=40):
            foreign = self._foreign(native, requirements(DOCKERFILES[name]))
        with steps.step(f"{name}: checks", seconds=60):
            _refuse(name, native, foreign)
            for image, machine in ((native, here()), (foreign, other(here()))):
                loaded = trial.run(image, machine, self._work / "trial", programs=PROGRAMS.get(name, ()))
                steps.say(f"{name} for {machine.architecture}: {loaded} programs and compiled modules can be loaded")
        with steps.step(f"{name}: layers and SBOM", seconds=60):
            for image in (native, foreign):
                self._describe(name, image)
            layout.write(
                place, (native, foreign), created=self._created, labels=self._labels, cache=self._work / "layers"
            )

    def clean(self) -> None:
        mounts.unmount(self._work)  # of a build that was interrupted
        shutil.rmtree(self._work, ignore_errors=True)

    def _native(self, name: str) -> Image:
        tag = f"localhost/{name}:{self._version}"
        archive = images.build(tag, dockerfile=DOCKERFILES[name], context=CHECKOUT, cache=self._work)
        place = self._work / "native" / name
        shutil.rmtree(place, ignore_errors=True)
        return layout.read(archive, place)

    def _foreign(self, native: Image, locked: list[Path]) -> Image:
        layers: list[tree.Tree] = []
        for layer in native.layers:
            if packages.STATUS in layer and layers:
                raise TroubleError("packages of Debian are installed in a layer above the base: add them to the base.")
            if packages.STATUS in layer:
                layers.append(self._foreign_base(layer))
            elif python := wheels.python_version(layer):
                layers.append(wheels.for_machine(layer, self._wheels(tuple(locked), python)))
            else:
                layers.append(layer)
        return native.for_machine(other(here()), layers)

    def _foreign_base(self, layer: tree.Tree) -> tree.Tree:
        """That of the first image is that of all of them."""
        if self._base is None:
            mirror = packages.Mirror(self._work / "debian", layer, other(here()))
            made = base.for_machine(layer, mirror.fetch(base.specific(layer)), of=here())
            mirror.check(made[packages.STATUS].content())
            self._base = made
        return self._base

    def _wheels(self, locked: tuple[Path, ...], python: str) -> tree.Tree:
        into = self._work / "wheels"
        shutil.rmtree(into, ignore_errors=True)
        return wheels.install(locked, machine=other(here()), python=python, into=into)

    def _describe(self, name: str, image: Image) -> None:
        files = image.files()
        architecture = image.config["architecture"]
        document = sbom(
            name,
            version=self._version,
            architecture=architecture,
            requirements=requirements(DOCKERFILES[name]),
            installed=_from_pypi(files),
            debian=packages.installed(files),
            debian_version=_debian_version(files),
        )
        (self._directory / f"{name}.{architecture}.cdx.json").write_text(json.dumps(document, indent=1) + "\n")


def _refuse(name: str, native: Image, foreign: Image) -> None:
    found = [
        *checks.faults(native, here()),
        *checks.faults(foreign, other(here())),
        *checks.differences(native, foreign),
    ]
    if found:
        more = f"\n… {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise TroubleError(f"image {name}:\n" + "\n".join(found[:_SHOWN]) + more)


def _from_pypi(files: Mapping[str, tree.File]) -> set[tuple[str, str]]:
    """By `wheels.key`. What lies elsewhere came with Debian's packages; our own code is what the SBOM is of."""
    found = {one.key for one in wheels.distributions(files) if one.folder.startswith("app/")}
    return {key for key in found if key[0] != "pointsman"}


def _debian_version(files: Mapping[str, tree.File]) -> str:
    for line in files["usr/lib/os-release"].content().decode().splitlines():
        if line.startswith("VERSION_ID="):
            return line.partition("=")[2].strip('"')
    raise TroubleError("the base image does not say which Debian it is: usr/lib/os-release has no VERSION_ID.")
