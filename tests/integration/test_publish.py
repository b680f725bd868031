"""Packages for the other architecture, from the registries themselves."""

import subprocess
from pathlib import Path

import pytest

from hack.publish import elf, packages, wheels
from hack.publish.machines import here, other
from hack.publish.release import DOCKERFILES, requirements


@pytest.mark.parametrize("name", DOCKERFILES)
def test_all_that_an_image_installs_can_be_had_for_the_other_architecture(name: str, tmp_path: Path) -> None:
    """Each compiled package has a wheel there, whose hash is locked."""
    locked = requirements(DOCKERFILES[name])
    found = wheels.install(locked, machine=other(here()), python="3.11", into=tmp_path / "there")
    same = wheels.install(locked, machine=here(), python="3.11", into=tmp_path / "here")
    assert {one.key for one in wheels.distributions(found)} == {one.key for one in wheels.distributions(same)}
    compiled = {each.path: each.machine for each in elf.binaries(found)}
    assert compiled
    assert set(compiled.values()) == {other(here()).elf}
    assert [path for path in found if here().triplet in path] == []


def test_a_package_of_debians_is_read_with_its_files_and_its_scripts(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "DEBIAN").mkdir(parents=True)
    (source / "usr/bin").mkdir(parents=True)
    (source / "usr/bin/tool").write_text("x")
    (source / "DEBIAN/control").write_text(
        "Package: tool\nVersion: 1:2.0-1+b2\nArchitecture: arm64\nMaintainer: a <a@example.com>\n"
        "Description: of a test\n and more\n"
    )
    (source / "DEBIAN/postinst").write_text("#!/bin/sh\nexit 1\n")
    (source / "DEBIAN/postinst").chmod(0o755)
    command = ["dpkg-deb", "--root-owner-group", "--build", str(source), str(tmp_path / "tool.deb")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    archive = packages.read(tmp_path / "tool.deb")
    assert (archive.package.name, archive.package.architecture) == ("tool", "arm64")
    assert archive.package.source_version() == "1:2.0-1"
    assert archive.files["usr/bin/tool"].content() == b"x"
    assert archive.files["usr/bin/tool"].info.uid == 0
    assert archive.control["postinst"].content() == b"#!/bin/sh\nexit 1\n"
