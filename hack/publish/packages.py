"""Debian's packages for one architecture, whichever the machine's own is. None is installed; no script of theirs runs.

Lists, keys and packages lie in a folder of their own, so that dpkg and apt of the machine stay as they are.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.node.trouble import TroubleError
from hack.publish import tree
from hack.publish.machines import Machine

_FIELD = re.compile(r"^(?P<name>[A-Za-z0-9-]+):[ \t]*(?P<value>.*(?:\n[ \t].*)*)$", re.MULTILINE)
_REBUILT = re.compile(r"\+b\d+$")  # the same source, built once more for one architecture
STATUS = "var/lib/dpkg/status"
_KEYS = "etc/apt/trusted.gpg.d/"
_SOURCES = "etc/apt/sources.list"


@dataclass(frozen=True)
class Package:
    """One of a database, or of an archive."""

    text: str
    """Its fields, as Debian writes them."""
    name: str
    version: str
    architecture: str

    @property
    def file_name(self) -> str:
        """How its files in dpkg's database begin."""
        same = _fields(self.text).get("Multi-Arch") == "same"
        return f"{self.name}:{self.architecture}" if same else self.name

    def source_version(self) -> str:
        return _REBUILT.sub("", self.version)


@dataclass(frozen=True)
class Archive:
    """A package with its files."""

    package: Package
    files: tree.Tree
    control: tree.Tree


def package(text: str) -> Package:
    fields = _fields(text)
    return Package(text.strip(), fields["Package"], fields["Version"], fields["Architecture"])


def installed(image: Mapping[str, tree.File]) -> list[Package]:
    """What dpkg's database in the image lists."""
    stanzas = image[STATUS].content().decode().strip().split("\n\n")
    return [package(stanza) for stanza in stanzas if "\nStatus: install ok installed" in stanza]


def read(archive: Path) -> Archive:
    control = _parts(archive, "--ctrl-tarfile")
    return Archive(package(control["control"].content().decode()), _parts(archive, "--fsys-tarfile"), control)


class Mirror:
    """Debian's archive as the image knows it: its sources, its keys, its state at this moment."""

    def __init__(self, folder: Path, image: Mapping[str, tree.File], machine: Machine) -> None:
        self._folder = folder
        keys = folder / "keys"
        for place in (keys, folder / "state" / "lists" / "partial", folder / "cache" / "archives" / "partial"):
            place.mkdir(parents=True, exist_ok=True)
        for path, file in image.items():
            if path.startswith(_KEYS) and file.info.isreg():
                (keys / path.removeprefix(_KEYS)).write_bytes(file.content())
        (folder / "sources.list").write_bytes(image[_SOURCES].content())
        (folder / "none").touch()
        self._options = {
            "APT::Architecture": machine.architecture,
            "APT::Architectures": machine.architecture,
            "APT::Update::Error-Mode": "any",  # it would go on with yesterday's lists where it gets none
            "APT::Sandbox::User": "root",  # a user of apt's own cannot read below a home folder
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Trusted": "/dev/null",
            "Dir::Etc::TrustedParts": keys,
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "none",
        }

    def fetch(self, wanted: Sequence[Package]) -> list[Archive]:
        """These packages for this architecture, of the same source versions.

        Raises TroubleError where Debian has newer ones by now.
        """
        place = self._folder / "packages"
        place.mkdir(exist_ok=True)
        self._apt("update")
        self._apt("download", *(one.name for one in wanted), cwd=place)
        found = {(one.package.name, one.package.source_version()): one for one in map(read, place.glob("*.deb"))}
        newer = [one.name for one in wanted if (one.name, one.source_version()) not in found]
        if newer:
            raise TroubleError(
                f"Debian has other versions of {', '.join(newer)} than the base image: make it anew, by removing "
                f"{self._folder.parent}, and run it again."
            )
        return [found[one.name, one.source_version()] for one in wanted]

    def check(self, status: bytes) -> None:
        """Raises TroubleError if a package of this database lacks one that it depends on."""
        (self._folder / "status").write_bytes(status)
        self._apt("check", more={"Dir::State::status": self._folder / "status"})

    def _apt(self, *arguments: str, cwd: Path | None = None, more: Mapping[str, str | Path] | None = None) -> None:
        options = [f"--option={name}={value}" for name, value in {**self._options, **(more or {})}.items()]
        done = subprocess.run(
            ["apt-get", "--quiet", *options, *arguments],
            cwd=cwd, env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise TroubleError(f"`apt-get {arguments[0]}` for another architecture failed:\n{done.stdout[-3000:]}")


def _parts(archive: Path, which: str) -> tree.Tree:
    unpacked = archive.with_suffix(f".{which.strip('-')}")
    with unpacked.open("wb") as to:
        done = subprocess.run(["dpkg-deb", which, archive], stdout=to, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise TroubleError(f"{archive} is not a package of Debian's: {done.stderr.decode().strip()}")
    return tree.read(unpacked)


def _fields(text: str) -> dict[str, str]:
    return {field["name"]: field["value"] for field in _fields_of(text)}


def _fields_of(text: str) -> Iterator[re.Match[str]]:
    return _FIELD.finditer(text)
