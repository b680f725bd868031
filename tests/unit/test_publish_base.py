"""The base image of the other architecture."""

import pytest

from hack.publish import base, packages, tree
from hack.publish.machines import AMD64, ARM64
from tests.image_parts import archive, elf, installed, layer, stanza

LIBRARY = "usr/lib/x86_64-linux-gnu/libz.so.1"
INFO = "var/lib/dpkg/info"
MERGED = {"bin": "usr/bin", "lib": "usr/lib", "sbin": "usr/sbin"}


@pytest.fixture
def native() -> tree.Tree:
    """A library and a program for amd64, a script and Python modules for all, and what scripts have made."""
    return layer(
        {
            LIBRARY: elf(AMD64),
            "usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache": "made here",
            "usr/bin/tool": elf(AMD64),
            "usr/bin/script": "#!/bin/sh\n",
            "usr/lib/python3.11/os.py": "same",
            "usr/lib/python3.11/build.py": "for amd64",
            "usr/lib/python3.11/__pycache__/os.cpython-311.pyc": "of os",
            "usr/lib/python3.11/__pycache__/build.cpython-311.pyc": "of build",
            "etc/passwd": "root:x:0:0::/:/bin/sh\n",
            "etc/tool.conf": "for amd64",
            "etc/ld.so.cache": "of amd64",
            packages.STATUS: installed(
                stanza("zlib", AMD64), stanza("tool", AMD64, "2:1.0-1+b3", same=False), stanza("script", None)
            ),
            f"{INFO}/zlib:amd64.list": f"/.\n/lib\n/lib/x86_64-linux-gnu\n/{LIBRARY[4:]}\n",
            f"{INFO}/zlib:amd64.md5sums": "x",
            f"{INFO}/tool.list": "/.\n/bin\n/bin/tool\n/usr/lib/python3.11/os.py\n/usr/lib/python3.11/build.py\n"
            "/etc/tool.conf\n",
            f"{INFO}/tool.old.list": "of another package",
            f"{INFO}/script.list": "/.\n/usr/bin/script\n",
        },
        links=MERGED,
    )


@pytest.fixture
def foreign(native: tree.Tree) -> tree.Tree:
    native["usr/bin/tool"].info.gid = 42
    native["usr/bin/tool"].info.mode = 0o2755
    zlib = archive(
        stanza("zlib", ARM64),
        layer({"lib/aarch64-linux-gnu/libz.so.1": elf(ARM64), "usr/share/doc/zlib/copyright": ""}),
    )
    tool = archive(
        stanza("tool", ARM64, "2:1.0-1", same=False),
        layer(
            {
                "bin/tool": elf(ARM64),
                "usr/lib/python3.11/os.py": "same",
                "usr/lib/python3.11/build.py": "for arm64",
                "etc/tool.conf": "for arm64",
            }
        ),
        {"conffiles": "/etc/tool.conf\n", "postinst": "#!/bin/sh\n"},
    )
    return base.for_machine(native, [zlib, tool], of=AMD64)


def test_files_of_packages_for_one_architecture_are_those_of_the_other(foreign: tree.Tree) -> None:
    assert foreign["usr/lib/aarch64-linux-gnu/libz.so.1"].content() == elf(ARM64)
    assert foreign["usr/bin/tool"].content() == elf(ARM64)
    assert not [path for path in foreign if "x86_64" in path]
    assert not [path for path in foreign if path.startswith(("bin/", "lib/", "usr/share/doc/"))]


def test_what_scripts_have_made_is_taken_over(foreign: tree.Tree, native: tree.Tree) -> None:
    for path in ("etc/passwd", "usr/bin/script", "bin", f"{INFO}/tool.old.list"):
        assert foreign[path] == native[path]
    assert "etc/ld.so.cache" not in foreign
    tool = foreign["usr/bin/tool"].info
    assert (tool.gid, tool.mode) == (42, 0o2755)


def test_byte_code_stays_with_a_source_that_is_the_same(foreign: tree.Tree, native: tree.Tree) -> None:
    assert foreign["usr/lib/python3.11/__pycache__/os.cpython-311.pyc"].content() == b"of os"
    assert foreign["usr/lib/python3.11/os.py"].info.mtime == native["usr/lib/python3.11/os.py"].info.mtime
    assert "usr/lib/python3.11/__pycache__/build.cpython-311.pyc" not in foreign


def test_dpkg_knows_the_packages_as_those_of_the_other_architecture(foreign: tree.Tree) -> None:
    found = {one.name: (one.architecture, one.version) for one in packages.installed(foreign)}
    assert found == {"zlib": ("arm64", "1.0-1"), "tool": ("arm64", "2:1.0-1"), "script": ("all", "1.0-1")}
    assert foreign[f"{INFO}/zlib:arm64.list"].content().decode().splitlines()[-1] == "/usr/share/doc/zlib/copyright"
    assert f"{INFO}/zlib:amd64.list" not in foreign
    assert f"{INFO}/tool.postinst" in foreign
    # md5sum of "for arm64"
    assert " /etc/tool.conf 7528d4af7bea1f5a69e87fcd9270fe73" in foreign[packages.STATUS].content().decode()


def test_only_packages_for_one_architecture_are_wanted(native: tree.Tree) -> None:
    assert [one.name for one in base.specific(native)] == ["zlib", "tool"]
    assert base.specific(native)[1].source_version() == "2:1.0-1"
