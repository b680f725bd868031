"""The Python packages of an image for the other architecture: uv installs the same locked ones for it.

Only what is compiled is exchanged. A file that is the same in both wheels stays, and so does its byte code.
"""

import csv
import io
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.node.commands import output_of
from hack.node.trouble import TroubleError
from hack.publish import tree
from hack.publish.machines import Machine

_INFO = ".dist-info"
_SITE = "site-packages"


def key(name: str, version: str) -> tuple[str, str]:
    """Name and version of a distribution, however the name is spelled."""
    return name.lower().replace("-", "_").replace(".", "_"), version


@dataclass(frozen=True)
class Distribution:
    """A Python distribution that is installed in an image."""

    folder: str
    """Its dist-info folder."""
    text: str
    """Of WHEEL."""

    @property
    def key(self) -> tuple[str, str]:
        """As `key` has it."""
        name, _, version = posixpath.basename(self.folder).removesuffix(_INFO).rpartition("-")
        return key(name, version)

    def compiled(self) -> bool:
        return any(line.startswith("Tag:") and not line.endswith("-any") for line in self.text.splitlines())

    def record(self, image: Mapping[str, tree.File]) -> dict[str, list[str]]:
        """The lines of RECORD, by the path in the image that each is about."""
        site = posixpath.dirname(self.folder)
        rows = csv.reader(io.StringIO(image[f"{self.folder}/RECORD"].content().decode()))
        return {tree.normal(posixpath.join(site, row[0])): row for row in rows if row}


def distributions(image: Mapping[str, tree.File]) -> Iterator[Distribution]:
    for path, file in image.items():
        folder, name = posixpath.split(path)
        if name == "WHEEL" and folder.endswith(_INFO):
            yield Distribution(folder, file.content().decode())


def install(requirements: Sequence[Path], *, machine: Machine, python: str, into: Path) -> tree.Tree:
    """The files of these packages for a machine, as in a folder `site-packages`; programs lie in its `bin`.

    Raises TroubleError where one has no wheel for it, or none whose hash is locked.
    """
    command = [
        *("env", "-u", "UV_COMPILE_BYTECODE"),  # which hack/lib.sh sets: another Python's byte code is of no use
        *(os.environ.get("UV", "uv"), "pip", "install", "--quiet", "--target", str(into)),
        *("--python-version", python, "--python-platform", machine.wheels),
        *("--only-binary", ":all:", "--require-hashes", "--no-deps", "--link-mode", "copy"),
    ]
    output_of([*command, *(part for file in requirements for part in ("-r", str(file)))])
    return tree.of_folder(into)


def python_version(layer: Mapping[str, tree.File]) -> str | None:
    """Of the Python whose compiled packages are in this layer; None: there are none."""
    for one in distributions(layer):
        if one.compiled():
            return posixpath.basename(posixpath.dirname(posixpath.dirname(one.folder))).removeprefix("python")
    return None


def for_machine(layer: Mapping[str, tree.File], wheels: Mapping[str, tree.File]) -> tree.Tree:
    """A layer with the compiled packages of `wheels`, as `install` answers them, in place of its own."""
    found = {one.key: one for one in distributions(wheels)}
    result = dict(layer)
    for native in distributions(layer):
        if native.compiled():
            if native.key not in found:
                raise TroubleError(f"{native.folder} is in the image, and in no requirements.txt of it.")
            _exchange(result, native, found[native.key], wheels)
    return _with_folders(result)


def _exchange(result: tree.Tree, native: Distribution, other: Distribution, wheels: Mapping[str, tree.File]) -> None:
    site = posixpath.dirname(native.folder)
    prefix = posixpath.normpath(posixpath.join(site, "../../.."))
    before = native.record(result)
    compiled = [path for path in result if tree.source_of(path) in before]  # RECORD has it only where pip compiled it
    files = {path: result.pop(path) for path in {**before, **dict.fromkeys(compiled)} if path in result}
    rows: list[list[str]] = []
    for path, row in other.record(wheels).items():
        place = f"{prefix}/{path}" if path.startswith("bin/") else f"{site}/{path}"
        old, new = files.get(place), wheels[path]
        if old is not None and (tree.same_content(old, new) or (place.startswith(f"{prefix}/bin/") and _script(old))):
            result[place] = old
            rows.append(before[place])
        elif path != f"{other.folder}/RECORD":
            result[place] = new
            rows.append([posixpath.relpath(place, site), *row[1:]])
    for place, file in files.items():
        source = tree.source_of(place)
        if source in files and result.get(source) is files[source]:
            result[place] = file
            rows += [before[place]] if place in before else []
    record = f"{site}/{other.folder}/RECORD"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*sorted(rows), [posixpath.relpath(record, site), "", ""]])
    result[record] = tree.text_file(record, text.getvalue(), like=files[f"{native.folder}/RECORD"].info)


def _script(file: tree.File) -> bool:
    """One that pip has written, with the path of the image's Python."""
    return file.content(2) == b"#!"


def _with_folders(layer: tree.Tree) -> tree.Tree:
    """Folders that only the other wheels have."""
    result = dict(layer)
    for path in layer:
        folder = posixpath.dirname(path)
        while folder and folder not in result:
            result[folder] = tree.folder(folder)
            folder = posixpath.dirname(folder)
    return result
