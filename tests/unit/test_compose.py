"""compose.yaml is what its specification says, and its workloads accept what it sets."""

import json
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema_rs
import pytest
import yaml

from hack.node.binaries import PROGRAMS
from workloads.image_worker import settings as image_worker
from workloads.invitations import settings as invitations

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_it_is_what_compose_reads() -> None:
    schema = Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor/compose-spec.json"
    assert [
        str(problem) for problem in jsonschema_rs.validator_for(json.loads(schema.read_text())).iter_errors(COMPOSE)
    ] == []


@pytest.mark.parametrize("name", ["image-worker", "invitations"])
def test_a_workload_accepts_its_settings(name: str) -> None:
    variables = SERVICES[name]["environment"]
    identity = (
        image_worker.read(variables).jobs.identity if name == "image-worker" else invitations.read(variables).identity
    )
    assert identity.service == name


def test_what_it_waits_for_is_there_and_only_this_machine_can_reach_it() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_local_aws_is_that_of_the_tests() -> None:
    [version] = [program.version for program in PROGRAMS.values() if program.name == "ministack"]
    assert f"ministack=={version}" in SERVICES["aws"]["build"]["dockerfile_inline"]
