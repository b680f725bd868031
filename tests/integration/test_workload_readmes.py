"""What the workloads' READMEs have for trying them, done as it stands there: in a copy of the checkout, by a shell."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

from hack.node.aws import LocalAws
from hack.node.process import free_port
from tests.checkout import checkout_copy

pytest_plugins = ["tests.integration.aws_fixture"]

WORKLOADS = Path(__file__).resolve().parents[2] / "workloads"


def block(readme: str, section: str) -> str:
    """The commands of a section, on a free port and without what a machine has but once: its local AWS."""
    text = (WORKLOADS / readme).read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    commands = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    assert "kill %1" in commands
    commands = re.sub(r"^eval .*hack\.aws up.*\n|; hack/run python -m hack\.aws down", "", commands, flags=re.MULTILINE)
    return re.sub(r"\b1819\d\b", str(free_port()), commands) + "wait\n"


async def shell(commands: str, folder: Path, environment: Mapping[str, str]) -> str:
    child = await asyncio.create_subprocess_exec(
        "bash", "-c", f"set -ueo pipefail\n{commands}", cwd=folder, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(400):
            out, _ = await child.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):  # what a command that failed has left
            os.killpg(child.pid, signal.SIGKILL)
    said = out.decode()
    assert child.returncode in {0, 143}, said
    return said


async def test_the_invitation_api_is_tried_as_its_readme_says(tmp_path: Path) -> None:
    commands = block("invitations/README.md", "Try it").replace("/tmp/", f"{tmp_path}/")  # noqa: S108 - the README's
    said = await shell(commands, tmp_path, checkout_copy(tmp_path))
    assert len(re.findall(r"^seed-user-\d+ .* 201 ", said, re.MULTILINE)) == 20
    assert len(re.findall(r"^ok ", said, re.MULTILINE)) == 9
    assert "FAILED" not in said
    assert re.search(r"^http://127\.0\.0\.1:\d+/#token=", said, re.MULTILINE)
    assert re.search(r'\{"success":true,"inviteCode":"APP-[2-9A-HJKMNP-Z]{6}"\}', said)
    assert not (tmp_path / "invitations.sqlite").exists()


async def test_the_image_worker_is_tried_as_its_readme_says(local_aws: LocalAws, tmp_path: Path) -> None:
    environment = {**checkout_copy(tmp_path), **local_aws.environment, "WAIT_SECONDS": "1"}
    commands = block("image_worker/README.md", "Try it").replace(" setup)", " setup --name tried)")
    said = await shell(commands, tmp_path, environment)
    assert "a1  SENT" in said
    assert re.search(r"^state +COMPLETED$", said, re.MULTILINE)
    assert (tmp_path / "a1.png").read_bytes().startswith(b"\x89PNG")
    assert len(re.findall(r"^try-\d+  drawn ", said, re.MULTILINE)) == 20


async def test_the_subject_is_tried_as_its_readme_says(tmp_path: Path) -> None:
    commands = block("README.md", "Subject").replace("--seconds 10", "--seconds 2")
    assert "100 sent" in await shell(commands, tmp_path, checkout_copy(tmp_path))
