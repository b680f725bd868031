"""What a release refuses to publish."""

from typing import Any

import pytest

from hack.publish import checks, packages, tree
from hack.publish.machines import AMD64, ARM64, Machine
from tests.image_parts import SITE, distribution, elf, image, installed, layer, stanza


def files(machine: Machine, **more: str | bytes) -> tree.Tree:
    """An image's files that are as they should be, and `more`."""
    folder = f"usr/lib/{machine.triplet}"
    suffix = f"cpython-311-{machine.triplet}"
    return layer(
        {
            packages.STATUS: installed(stanza("zlib", machine), stanza("script", None)),
            "usr/bin/tool": elf(machine, ["libz.so.1"]),
            f"{folder}/libz.so.1.2": elf(machine),
            f"{SITE}/fast/_fast.{suffix}.so": elf(machine, ["libz.so.1"]),
            **{path.replace("__", "/"): content for path, content in more.items()},
        },
        links={f"{folder}/libz.so.1": "libz.so.1.2"},
    ) | distribution("fast", "1.0", "cp311-cp311-x", {})


def faults(machine: Machine, tree_: tree.Tree, **settings: Any) -> list[str]:
    return list(checks.faults(image(tree_, machine=machine, **settings), machine))


@pytest.mark.parametrize("machine", [AMD64, ARM64], ids=lambda machine: machine.architecture)
def test_an_image_for_one_machine_alone_is_accepted(machine: Machine) -> None:
    assert faults(machine, files(machine)) == []


def test_a_program_of_the_other_machine_is_found() -> None:
    assert faults(ARM64, files(ARM64, usr__bin__odd=elf(AMD64))) == ["usr/bin/odd is for EM_X86_64, not EM_AARCH64"]


def test_a_library_that_is_missing_is_found() -> None:
    assert faults(ARM64, files(ARM64, usr__bin__odd=elf(ARM64, ["libz.so.1", "libodd.so.7"]))) == [
        "usr/bin/odd needs libodd.so.7, which the image does not have"
    ]


def test_a_link_to_a_library_that_is_gone_is_no_library() -> None:
    broken = files(ARM64)
    del broken["usr/lib/aarch64-linux-gnu/libz.so.1.2"]
    assert [fault.partition(" needs ")[2] for fault in faults(ARM64, broken)] == [
        "libz.so.1, which the image does not have"
    ] * 2


def test_a_module_named_for_the_other_machine_is_found() -> None:
    name = f"{SITE}/fast/_slow.cpython-311-x86_64-linux-gnu.so"
    assert faults(ARM64, files(ARM64) | layer({name: elf(ARM64)})) == [f"{name} is of amd64, by its name"]


def test_a_package_of_debians_for_the_other_machine_is_found() -> None:
    wrong = files(ARM64) | layer({packages.STATUS: installed(stanza("zlib", AMD64))})
    assert faults(ARM64, wrong) == ["Debian's package zlib is for amd64"]


@pytest.mark.parametrize("user", ["", "0", "root", "0:65532"])
def test_an_image_that_runs_as_root_is_found(user: str) -> None:
    assert faults(ARM64, files(ARM64), User=user) == [f"it runs as {user or 'root'}"]


def test_two_images_of_the_same_are_alike() -> None:
    assert list(checks.differences(image(files(AMD64)), image(files(ARM64), machine=ARM64))) == []


def test_what_only_one_of_them_has_is_found() -> None:
    more = files(ARM64) | distribution("extra", "2.0", "py3-none-any", {"extra.py": "x"})
    found = list(checks.differences(image(files(AMD64)), image(more, machine=ARM64, Cmd=["sync"])))
    assert found[0].startswith("settings: ")
    assert found[1:] == [
        "Python distribution extra 2.0 is in one of them only",
        f"module {SITE}/extra.py is in one of them only",
    ]


def test_a_program_with_other_rights_is_found() -> None:
    changed = files(ARM64)
    changed["usr/bin/tool"].info.mode = 0o4755
    assert list(checks.differences(image(files(AMD64)), image(changed, machine=ARM64))) == [
        "usr/bin/tool has another owner or mode: 0:0 0 and 0:0 4000"
    ]


def test_a_link_that_leads_nowhere_on_one_of_them_is_found() -> None:
    here = files(AMD64) | layer({"usr/bin/mawk": "x"}, links={"usr/bin/awk": "/usr/bin/mawk"})
    there = files(ARM64) | layer({}, links={"usr/bin/awk": "/usr/bin/mawk"})
    assert list(checks.differences(image(here), image(there, machine=ARM64))) == [
        "the link usr/bin/awk leads nowhere: /usr/bin/mawk"
    ]


def test_files_at_a_path_of_the_machine_that_built_it_are_found() -> None:
    left = files(ARM64, work__checkout__x="x")
    assert faults(ARM64, left) == ["/work is no folder of Debian's, nor of ours"]
