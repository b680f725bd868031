"""The first command of each runbook, as somebody types it who was woken by its alert."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from hack.node import build
from tests.integration.operator_fixture import release, weight

RUNBOOKS = sorted((Path(__file__).parents[2] / "controller/docs/runbooks").glob("*.md"))


def first_command(page: Path) -> str:
    section = page.read_text().partition("## First command")[2]
    found: str = re.findall(r"^```\n(.+?)^```", section, re.MULTILINE | re.DOTALL)[0]
    return found


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
async def test_the_first_command_is_understood_and_finds_what_it_names(shop, api_server, page):
    await shop.given(release(weight(20)))
    command = first_command(page)
    for name, here in {"pointsman-system": shop.namespace, "NAMESPACE": shop.namespace, "RELEASE": shop.name}.items():
        command = command.replace(name, here)
    tools = f"{build.program('kubectl').parent}:{Path(sys.executable).parent}"
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(api_server), "PATH": f"{tools}:{os.environ['PATH']}"},
    )
    out, said = (one.decode() for one in await process.communicate())
    assert "rror" not in said, "there are no pods of an operator here, and nothing else is missing"
    assert process.returncode == 0 or "get pods -l" in command, said
    if page.stem == "no-leader":
        assert "lease.coordination.k8s.io/pointsman" in out
