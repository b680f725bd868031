"""What a release says about its images."""

import json
import re

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hack.sbom import NAMES, sbom
from workloads.pin import CHECKOUT, IMAGES

_PINNED = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^ ;\\]+)", re.MULTILINE)


@pytest.mark.parametrize("requirements", IMAGES)
def test_an_images_sbom_lists_each_locked_package_with_its_hashes(requirements: str) -> None:
    text = (CHECKOUT / requirements).read_text()
    document = sbom(requirements, version="0.2.0")
    components = document["components"]
    assert {(each["name"], each["version"]) for each in components} == set(_PINNED.findall(text))
    assert {each["purl"] for each in components} == {
        f"pkg:pypi/{name}@{version}" for name, version in _PINNED.findall(text)
    }
    stated = {hash_["content"] for each in components for hash_ in each["externalReferences"][0]["hashes"]}
    assert stated == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    assert document["metadata"]["component"]["name"] == NAMES[requirements]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


def test_each_image_that_is_released_has_one() -> None:
    recipe = (CHECKOUT / "hack/release").read_text()
    released = dict(re.findall(r"^([a-z-]+) (\S+)/Dockerfile$", recipe, re.MULTILINE))
    assert {name: f"{folder}/requirements.txt" for name, folder in released.items()} == {
        name: requirements for requirements, name in NAMES.items()
    }
    assert all((CHECKOUT / folder / "Dockerfile").is_file() for folder in released.values())
