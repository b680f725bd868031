"""The base image for the other architecture: that of this machine, with the packages that are built for one replaced.

What packages' scripts have made when this machine's base was installed (users, certificates, links, byte code) is the
same for both, so it is taken over, and nothing of the other architecture has to run.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace

from hack.node.images import LEFT_OUT
from hack.publish import tree
from hack.publish.machines import Machine
from hack.publish.packages import STATUS, Archive, Package, installed

_DATABASE = "var/lib/dpkg/info/"
_REMADE = {"etc/ld.so.cache", f"{STATUS}-old"}  # the loader finds Debian's folders without its cache


def specific(image: Mapping[str, tree.File]) -> list[Package]:
    """The packages that differ between architectures."""
    return [package for package in installed(image) if package.architecture != "all"]


def for_machine(native: Mapping[str, tree.File], archives: Sequence[Archive], *, of: Machine) -> tree.Tree:
    """The files of an image of machine `of` with those of `archives` in place of its own architecture's."""
    links = _links(native)
    replaced = specific(native)
    owned = {path for package in replaced for path in _listed(native, package, links)}
    databases = {f"{_DATABASE}{package.file_name}" for package in replaced}
    result = {
        path: file
        for path, file in native.items()
        if of.triplet not in path
        and path not in _REMADE
        and path.rpartition(".")[0] not in databases
        and (path not in owned or file.info.isdir() or path in links)
    }
    for archive in archives:
        for path, file in archive.files.items():
            place = _merged_usr(path, links)
            if place not in links and not place.startswith(LEFT_OUT):
                result[place] = _placed(place, file, native.get(place), links)
        result |= _database(archive)
    result[STATUS] = tree.text_file(STATUS, _status(native, archives), like=native[STATUS].info)
    return {path: file for path, file in result.items() if not _stale(path, result, native)}


def _links(image: Mapping[str, tree.File]) -> dict[str, str]:
    """The folders of / that lie in /usr."""
    return {path: file.info.linkname for path, file in image.items() if "/" not in path and file.info.issym()}


def _listed(native: Mapping[str, tree.File], package: Package, links: Mapping[str, str]) -> Iterator[str]:
    for line in native[f"{_DATABASE}{package.file_name}.list"].content().decode().splitlines():
        yield _merged_usr(tree.normal(line), links)


def _merged_usr(path: str, links: Mapping[str, str]) -> str:
    """Packages name /bin and /lib, which are links to /usr in the image."""
    first, slash, rest = path.partition("/")
    return f"{tree.normal(links[first])}/{rest}" if slash and first in links else path


def _placed(place: str, file: tree.File, before: tree.File | None, links: Mapping[str, str]) -> tree.File:
    """With owner and mode that a script has given it, and the time that its byte code knows, if it is the same file."""
    info = copy(file.info)
    info.name = place
    if info.islnk():
        info.linkname = _merged_usr(info.linkname, links)
    if before is not None and before.info.type == info.type:
        info.uid, info.gid, info.mode = before.info.uid, before.info.gid, before.info.mode
        if tree.same_content(file, before):
            info.mtime = before.info.mtime
    return replace(file, info=info)


def _database(archive: Archive) -> tree.Tree:
    """What dpkg would have written about the package."""
    begin = f"{_DATABASE}{archive.package.file_name}."
    listed = "".join(f"/{path}\n" for path in archive.files)
    files = {f"{begin}list": tree.text_file(f"{begin}list", f"/.\n{listed}")}
    for name, file in archive.control.items():
        if name != "control":
            info = copy(file.info)
            info.name, info.uid, info.gid = f"{begin}{name}", 0, 0
            files[info.name] = replace(file, info=info)
    return files


def _status(native: Mapping[str, tree.File], archives: Sequence[Archive]) -> str:
    by_name = {archive.package.name: archive for archive in archives}
    stanzas = []
    for package in installed(native):
        archive = by_name.get(package.name)
        stanzas.append(package.text if archive is None else _stanza(archive))
    return "\n\n".join(stanzas) + "\n"


def _stanza(archive: Archive) -> str:
    first, _, rest = archive.package.text.partition("\n")
    text = f"{first}\nStatus: install ok installed\n{rest}"
    conffiles = archive.control.get("conffiles")
    if conffiles is None:
        return text
    lines = [line for line in conffiles.content().decode().split("\n") if line.startswith("/")]
    digests = {line: hashlib.md5(archive.files[line[1:]].content()).hexdigest() for line in lines}  # noqa: S324 - dpkg's
    return text + "\nConffiles:" + "".join(f"\n {line} {digest}" for line, digest in digests.items())


def _stale(path: str, result: Mapping[str, tree.File], native: Mapping[str, tree.File]) -> bool:
    """Byte code of a source that is another one now, or gone."""
    source = tree.source_of(path)
    if not source:
        return False
    if source not in result or source not in native:
        return True
    now, before = result[source], native[source]
    return now is not before and not tree.same_content(now, before)
