"""Small images, made of files that a test states."""

import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence

from hack.publish import tree
from hack.publish.layout import Image
from hack.publish.machines import AMD64, Machine
from hack.publish.packages import Archive, package

_NUMBERS = {"EM_X86_64": 62, "EM_AARCH64": 183}
SITE = "app/lib/python3.11/site-packages"
SETTINGS = {
    "User": "65532:65532",
    "Env": ["PATH=/usr/bin", "PYTHONUNBUFFERED=1"],
    "Entrypoint": ["/app/bin/pointsman"],
    "Cmd": ["run"],
    "WorkingDir": "/app",
}


def layer(files: Mapping[str, str | bytes], *, links: Mapping[str, str] | None = None) -> tree.Tree:
    """As it is read from an archive: folders are there, and links to what `links` says."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, target in (links or {}).items():
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        folders = {str(path).rpartition("/")[0] for path in files}
        for folder in sorted({each[:end] for each in folders for end in _ends(each)}):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
        for path, content in files.items():
            encoded = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(f"./{path}")
            info.size, info.mtime = len(encoded), 1_000_000_000
            archive.addfile(info, io.BytesIO(encoded))
    return tree.read(stream.getvalue())


def _ends(folder: str) -> list[int]:
    return [at for at, letter in enumerate(folder) if letter == "/"] + ([len(folder)] if folder else [])


def image(*layers: tree.Tree, machine: Machine = AMD64, **settings: object) -> Image:
    return Image({**machine.platform(), "config": {**SETTINGS, **settings}}, layers)


def elf(machine: Machine, needed: Sequence[str] = ()) -> bytes:
    """A library for this machine that needs these."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    starts = [names.index(name.encode() + b"\0") for name in needed]
    dynamic_at = 64 + 2 * 56
    entries = [*((1, start) for start in starts), (5, dynamic_at + 16 * (len(starts) + 3)), (10, len(names)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    size = dynamic_at + len(dynamic) + len(names)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, _NUMBERS[machine.elf], 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0),
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 0x1000)
    described = struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8)
    return header + load + described + dynamic + names


def stanza(name: str, machine: Machine | None, version: str = "1.0-1", *, same: bool = True) -> str:
    """Of a package for one machine; None: for all."""
    architecture = machine.architecture if machine else "all"
    more = "\nMulti-Arch: same" if same and machine else ""
    return f"Package: {name}\nArchitecture: {architecture}\nVersion: {version}{more}\nDescription: of a test\n more"


def archive(text: str, files: tree.Tree, control: Mapping[str, str] | None = None) -> Archive:
    return Archive(package(text), files, layer({"control": text, **(control or {})}))


def installed(*stanzas: str) -> str:
    """A database of dpkg's."""
    return "".join(each.replace("\n", "\nStatus: install ok installed\n", 1) + "\n\n" for each in stanzas)


def distribution(name: str, version: str, tag: str, files: Mapping[str, str | bytes], *, site: str = SITE) -> tree.Tree:
    """A Python distribution as an installer leaves it; `files` by their path from `site`, which may lead out of it."""
    info = f"{name}-{version}.dist-info"
    inside = {**files, f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"}
    lines = [f"{path},sha256={hashlib.sha256(_bytes(text)).hexdigest()},{len(text)}" for path, text in inside.items()]
    inside[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    return layer({tree.normal(f"{site}/{path}"): text for path, text in inside.items()})


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
