"""The files of an image, by path, as its layers hold them: read from tar archives and written to them, never unpacked.

So owners, modes, times and links stay as they are, whoever runs this.
"""

import io
import posixpath
import re
import tarfile
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hack.node.trouble import TroubleError

_BYTE_CODE = re.compile(r"^(?P<folder>.*)__pycache__/(?P<module>[^/]+)\.cpython-\d+(?:\.opt-\d)?\.pyc$")
_LINKS = 40  # as the kernel: more of them in one path lead round in a circle


@dataclass(frozen=True)
class File:
    """A file, folder, link or device. `info` has its metadata; a file's content begins in `source` at `offset`."""

    info: tarfile.TarInfo
    source: Path | bytes = b""
    offset: int = 0

    def content(self, at_most: int | None = None) -> bytes:
        """Of a file, the first bytes or all; empty for anything else."""
        size = self.info.size if at_most is None else min(at_most, self.info.size)
        if isinstance(self.source, bytes):
            return self.source[self.offset : self.offset + size]
        with self.source.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(size)


Tree = dict[str, File]
"""By path, relative to `/` and without a slash at either end. A layer is one, and so is an image."""


def read(archive: Path | bytes) -> Tree:
    """Of a tar archive that is not compressed, and has to stay where it is."""
    tree: Tree = {}
    with tarfile.open(archive) if isinstance(archive, Path) else tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for info in tar:
            path = normal(info.name)
            if posixpath.basename(path).startswith(".wh."):
                raise TroubleError(f"a layer removes {path}: layers that remove files of those below cannot be read.")
            if path:
                tree[path] = File(_with_names(info, path), archive, info.offset_data)
    return tree


def write(tree: Mapping[str, File], to: IO[bytes]) -> None:
    """Hard links come last, so that what they lead to is there."""
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, file in sorted(tree.items(), key=lambda entry: (entry[1].info.islnk(), entry[0])):
            info = _with_names(file.info, path)
            archive.addfile(info, io.BytesIO(file.content()) if info.isreg() else None)


def of_folder(folder: Path) -> Tree:
    """The files of a folder, owned by root."""
    tree: Tree = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            status = path.stat()
            info.size, info.mtime = status.st_size, int(status.st_mtime)
            info.mode = 0o755 if status.st_mode & 0o100 else 0o644
            tree[info.name] = File(info, path)
    return tree


def text_file(path: str, text: str, *, like: tarfile.TarInfo | None = None) -> File:
    """A file made here; `like` one that it takes the place of."""
    content = text.encode()
    info = copy(like) if like else tarfile.TarInfo(path)
    info.name, info.size = path, len(content)
    return File(info, content)


def folder(path: str) -> File:
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return File(info)


def merged(layers: Iterable[Mapping[str, File]]) -> Tree:
    """The image that these layers make, lowest first."""
    return {path: file for layer in layers for path, file in layer.items()}


def same_content(one: File, another: File) -> bool:
    if not (one.info.isreg() and another.info.isreg() and one.info.size == another.info.size):
        return False
    return one.content() == another.content()


def resolved(tree: Mapping[str, File], path: str) -> str | None:
    """Where a path leads through all links, within the image; None: nowhere."""
    left, done = path.split("/"), ""
    for _ in range(_LINKS * 10):
        if not left:
            return done
        here = posixpath.join(done, left.pop(0))
        file = tree.get(here)
        if file is not None and file.info.issym():
            target = file.info.linkname
            whole = target.lstrip("/") if target.startswith("/") else normal(posixpath.join(done, target))
            left, done = [*whole.split("/"), *left], ""
        elif file is None:
            return None
        else:
            done = here
    return None


def normal(path: str) -> str:
    """Without `.`, `..` and slashes at the ends; empty for the root itself."""
    return posixpath.normpath("/" + path).lstrip("/")


def source_of(path: str) -> str:
    """The path of the source of this byte code; empty: it is none."""
    match = _BYTE_CODE.match(path)
    return f"{match['folder']}{match['module']}.py" if match else ""


def _with_names(info: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    """Extended headers would win over names: only attributes of files are kept of them."""
    named = copy(info)
    named.name, named.uname, named.gname, named.mtime = path, "", "", int(info.mtime)
    named.pax_headers = {key: value for key, value in info.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    if info.islnk():
        named.linkname, named.size = normal(info.linkname), 0
    return named
