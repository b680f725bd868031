"""One node comes up from the cache, serves a Release, and leaves nothing: processes, links, rules, mounts, files."""

import json
import subprocess
import sys
import time

import pytest

from hack.install import CHECKOUT
from hack.node.kind import Kind
from tests.kind.machine import traces

pytestmark = pytest.mark.alone


def hack_cluster(*arguments):
    command = [sys.executable, "-m", "hack.node.cli", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture
def before():
    """The machine without a cluster on kind, and without one afterwards, whatever happens."""
    Kind().down()
    yield traces()
    Kind().down()


def test_one_node_comes_up_twice_and_leaves_nothing(before, measured):
    began = time.monotonic()
    up = hack_cluster("up", "--backend", "kind")
    assert up.returncode == 0, up.stderr
    measured("up_s", round(time.monotonic() - began, 1))
    status = hack_cluster("status", "--json")
    assert status.returncode == 0, status.stdout
    parts = {part["name"]: part["pid"] for part in json.loads(status.stdout)["parts"]}
    assert parts["pointsman-control-plane"]
    again = time.monotonic()
    assert hack_cluster("up").returncode == 0, "what runs is left as it is"
    measured("up_again_s", round(time.monotonic() - again, 1))
    assert {part["name"]: part["pid"] for part in json.loads(hack_cluster("status", "--json").stdout)["parts"]} == parts
    assert "kubelet" in hack_cluster("logs", "pointsman-control-plane").stdout
    refused = hack_cluster("up", "--backend", "native")
    assert "run `hack/cluster down` first" in refused.stderr
    began = time.monotonic()
    down = hack_cluster("down")
    assert down.returncode == 0, down.stderr
    measured("down_s", round(time.monotonic() - began, 1))
    assert traces() == before


def test_what_was_killed_before_is_taken_away_too(before):
    assert hack_cluster("up", "--backend", "kind").returncode == 0
    kind = Kind()
    (node,) = kind.nodes.names()
    kind.nodes.docker("pause", node)
    for name in kind.private.parts:
        pid = next(part.pid for part in kind.status().parts if part.name == name)
        subprocess.run(["kill", "-KILL", str(pid)], check=True)
    assert hack_cluster("down").returncode == 0
    assert traces() == before
