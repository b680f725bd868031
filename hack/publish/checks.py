"""What must hold of the images of one release, before anybody can pull them."""

import re
from collections.abc import Iterator, Mapping

from hack.publish import elf, packages, tree, wheels
from hack.publish.layout import Image
from hack.publish.machines import Machine, other

_COMPILED = re.compile(r"\.(?:cpython-\d+-[^/]+|abi3)\.so$")
_SUFFIX = re.compile(r"(?:x86_64|aarch64)-linux-gnu")  # of what Python's own build has written down
_FOLDERS = set(
    "app bin boot dev etc home lib lib64 media mnt opt proc root run sbin srv sys tmp usr var".split()  # noqa: SIM905
)
_ROOT = {"", "0", "root"}


def faults(image: Image, machine: Machine) -> Iterator[str]:
    """A sentence for each fault of the image of this machine."""
    files = image.files()
    if image.config["architecture"] != machine.architecture:
        yield f"it says it is for {image.config['architecture']}, not {machine.architecture}"
    user = image.config["config"].get("User", "")
    if user.partition(":")[0] in _ROOT:
        yield f"it runs as {user or 'root'}"
    foreign = other(machine)
    for first in sorted({path.partition("/")[0] for path in files} - _FOLDERS):
        yield f"/{first} is no folder of Debian's, nor of ours"
    yield from (f"{path} is of {foreign.architecture}, by its name" for path in files if foreign.triplet in path)
    for package in packages.installed(files):
        if package.architecture not in {"all", machine.architecture}:
            yield f"Debian's package {package.name} is for {package.architecture}"
    yield from elf.faults(files, machine)


def differences(native: Image, foreign: Image) -> Iterator[str]:
    """A sentence for each thing that the two images have to have in common, and have not."""
    here, there = native.files(), foreign.files()
    if native.config["config"] != foreign.config["config"]:
        yield f"settings: {native.config['config']} and {foreign.config['config']}"
    for kind, one, another in (
        ("Python distribution", _distributions(here), _distributions(there)),
        ("Debian package", _packages(here), _packages(there)),
        ("module", _modules(here), _modules(there)),
    ):
        for name in sorted(one ^ another):
            yield f"{kind} {name} is in one of them only"
    for path, file in there.items():
        if file.info.issym() and tree.resolved(there, path) is None and tree.resolved(here, path) is not None:
            yield f"the link {path} leads nowhere: {file.info.linkname}"
    for path, file in there.items():
        before = here.get(path)
        if before is not None and _access(before) != _access(file):
            yield f"{path} has another owner or mode: {_access(before)} and {_access(file)}"


def compiled_modules(files: Mapping[str, tree.File]) -> Iterator[str]:
    """By the names under which packages import them; those that only tests of their own import are left out."""
    for path in sorted(files):
        name = _COMPILED.sub("", path.partition("/site-packages/")[2]) if _COMPILED.search(path) else ""
        if name:
            yield name.replace("/", ".")


def _distributions(files: Mapping[str, tree.File]) -> set[str]:
    return {" ".join(one.key) for one in wheels.distributions(files)}


def _packages(files: Mapping[str, tree.File]) -> set[str]:
    return {f"{one.name} {one.source_version()}" for one in packages.installed(files)}


def _modules(files: Mapping[str, tree.File]) -> set[str]:
    """Python's modules, compiled ones without the suffix that names a machine."""
    sources = {_SUFFIX.sub("", path) for path in files if path.endswith(".py")}
    return sources | {_COMPILED.sub(".so", path) for path in files if _COMPILED.search(path)}


def _access(file: tree.File) -> str:
    """Owner, and the bits by which a program gets another one's rights."""
    return f"{file.info.uid}:{file.info.gid} {file.info.mode & 0o6000:o}"
