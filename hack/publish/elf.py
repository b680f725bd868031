"""Programs and libraries in an image: which machine each is for, and whether the libraries that it needs are there."""

import io
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from hack.publish import tree
from hack.publish.machines import Machine

_MAGIC = b"\x7fELF"
_SETTINGS = "etc/ld.so.conf.d/"


@dataclass(frozen=True)
class Binary:
    path: str
    machine: str
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    """Folders of its own, before those of the loader."""
    interpreter: str = ""


def binaries(image: Mapping[str, tree.File]) -> Iterator[Binary]:
    for path, file in image.items():
        if file.info.isreg() and file.content(len(_MAGIC)) == _MAGIC:
            yield _binary(path, file.content())


def faults(image: Mapping[str, tree.File], machine: Machine) -> Iterator[str]:
    """A sentence for each binary that this machine cannot run, and for each library that is missing."""
    folders = list(_loader_folders(image, machine))
    for binary in binaries(image):
        if binary.machine != machine.elf:
            yield f"{binary.path} is for {binary.machine}, not {machine.elf}"
        if binary.interpreter and tree.resolved(image, tree.normal(binary.interpreter)) is None:
            yield f"{binary.path} is loaded by {binary.interpreter}, which the image does not have"
        for name in binary.needed:
            if not any(tree.resolved(image, posixpath.join(place, name)) for place in (*binary.search, *folders)):
                yield f"{binary.path} needs {name}, which the image does not have"


def _binary(path: str, content: bytes) -> Binary:
    try:
        parsed: Any = ELFFile(io.BytesIO(content))
        dynamic = [segment for segment in parsed.iter_segments() if isinstance(segment, DynamicSegment)]
        tags: list[Any] = [tag for segment in dynamic for tag in segment.iter_tags()]
        interpreter = [each.get_interp_name() for each in parsed.iter_segments("PT_INTERP")]
    except ELFError as error:
        return Binary(path, f"no machine ({error})")
    return Binary(
        path,
        str(parsed["e_machine"]),
        needed=tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
        search=tuple(place for tag in tags for place in _own_folders(path, tag)),
        interpreter=next(iter(interpreter), ""),
    )


def _own_folders(path: str, tag: Any) -> Iterator[str]:
    where = {"DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}.get(tag.entry.d_tag)
    if where:
        for place in getattr(tag, where).split(":"):
            here = posixpath.dirname(path)
            yield tree.normal(place.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", f"/{here}"))


def _loader_folders(image: Mapping[str, tree.File], machine: Machine) -> Iterator[str]:
    yield from (f"usr/lib/{machine.triplet}", "usr/lib")
    for path, file in image.items():
        if path.startswith(_SETTINGS) and file.info.isreg():
            for line in file.content().decode().splitlines():
                if line.startswith("/"):
                    yield tree.normal(line)
