"""Each image is installed from its own requirements: what its program imports has to be among them."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from workloads.pin import CHECKOUT

PROGRAMS = {
    "controller": "controller.cli.main",
    "workloads/subject": "workloads.subject.__main__",
    "workloads/image_worker": "workloads.image_worker.__main__",
    "workloads/invitations": "workloads.invitations.__main__",
}
LOADED = "import {program}, json, sys; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"


def installed(folder: str) -> set[str]:
    text = (CHECKOUT / folder / "requirements.txt").read_text()
    return set(re.findall(r"^([a-z0-9][a-z0-9-]*)==", text, re.MULTILINE))


@pytest.mark.parametrize("folder", PROGRAMS)
def test_an_image_has_all_that_its_program_imports(folder: str) -> None:
    """The subject's pods ended at their start, as the logs that all workloads share imported OpenTelemetry."""
    said = subprocess.run(
        [sys.executable, "-c", LOADED.format(program=PROGRAMS[folder])],
        cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    owners = packages_distributions()
    wanted = {
        owner.lower().replace("_", "-").replace(".", "-")
        for name in json.loads(said)
        if name not in sys.stdlib_module_names
        for owner in owners.get(name, ())[:1]
    }
    assert wanted - {"pointsman"} <= installed(folder)
