"""Python packages of the other architecture."""

from collections.abc import Mapping

import pytest

from hack.node.trouble import TroubleError
from hack.publish import tree, wheels
from hack.publish.machines import AMD64, ARM64
from tests.image_parts import SITE, distribution, elf
from tests.image_parts import layer as files

HERE = "cp311-cp311-manylinux_2_28_x86_64"
THERE = "cp311-cp311-manylinux_2_28_aarch64"
SO = "fast/_fast.cpython-311-{}-linux-gnu.so"


BYTE_CODE = {
    "fast/__pycache__/__init__.cpython-311.pyc": "of same",
    "fast/__pycache__/config.cpython-311.pyc": "of config",
}


def layer(by_pip: Mapping[str, str] = BYTE_CODE) -> tree.Tree:
    """`by_pip`: byte code that RECORD names."""
    fast = distribution(
        "Fast", "1.0", HERE,
        {
            SO.format("x86_64"): elf(AMD64),
            "fast/__init__.py": "same",
            "fast/config.py": "for amd64",
            **by_pip,
            "../../../bin/fast": "#!/app/bin/python\n",
            "../../../bin/program": elf(AMD64),
        },
    )  # fmt: skip
    return distribution("plain", "2.0", "py3-none-any", {"plain.py": "x"}) | fast


def built(version: str = "1.0") -> tree.Tree:
    return distribution(
        "Fast", version, THERE,
        {
            SO.format("aarch64"): elf(ARM64),
            "fast/__init__.py": "same",
            "fast/config.py": "for arm64",
            "fast.libs/libfast.so": elf(ARM64),
            "bin/fast": "#!/some/where/else/python\n",
            "bin/program": elf(ARM64),
        },
        site="",
    )  # fmt: skip


def test_a_compiled_package_is_exchanged_and_a_plain_one_stays() -> None:
    before, after = layer(), wheels.for_machine(layer(), built())
    assert after[f"{SITE}/{SO.format('aarch64')}"].content() == elf(ARM64)
    assert f"{SITE}/{SO.format('x86_64')}" not in after
    assert after["app/bin/program"].content() == elf(ARM64)
    assert after[f"{SITE}/fast/config.py"].content() == b"for arm64"
    assert after[f"{SITE}/plain.py"].content() == before[f"{SITE}/plain.py"].content()
    assert after[f"{SITE}/fast.libs"].info.isdir()


def test_scripts_keep_the_path_of_the_images_python() -> None:
    assert wheels.for_machine(layer(), built())["app/bin/fast"].content() == b"#!/app/bin/python\n"


@pytest.mark.parametrize("before", [layer(), layer({}) | files({f"{SITE}/{p}": t for p, t in BYTE_CODE.items()})])
def test_byte_code_stays_with_a_module_that_is_the_same(before: tree.Tree) -> None:
    after = wheels.for_machine(before, built())
    assert f"{SITE}/fast/__pycache__/__init__.cpython-311.pyc" in after
    assert f"{SITE}/fast/__pycache__/config.cpython-311.pyc" not in after


def test_the_record_names_what_is_there() -> None:
    after = wheels.for_machine(layer(), built())
    [fast] = [one for one in wheels.distributions(after) if one.compiled()]
    assert set(fast.record(after)) == {
        path for path, file in after.items() if not file.info.isdir() and "plain" not in path
    }


def test_another_version_is_refused() -> None:
    with pytest.raises(TroubleError, match=r"Fast-1.0.dist-info is in the image, and in no requirements"):
        wheels.for_machine(layer(), built("1.1"))


def test_the_python_of_an_image_is_known_by_its_compiled_packages() -> None:
    assert wheels.python_version(layer()) == "3.11"
    assert wheels.python_version(distribution("plain", "2.0", "py3-none-any", {"plain.py": "x"})) is None
