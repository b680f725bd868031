"""Workers of one's own: `run_worker`, as workloads/README.md shows it."""

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

from hack.node.aws import LocalAws
from hack.node.process import free_port
from tests.checkout import checkout_copy
from tests.e2e.patience import until

pytest_plugins = ["tests.integration.aws_fixture"]

README = Path(__file__).resolve().parents[2] / "workloads/README.md"


async def shell(line: str, folder: Path, environment: Mapping[str, str]) -> str:
    child = await asyncio.create_subprocess_exec(
        "bash", "-c", line, cwd=folder, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await child.communicate()
    return said.decode()


async def test_the_readmes_worker_does_what_its_commands_send(local_aws: LocalAws, tmp_path: Path) -> None:
    section = README.read_text().split("### A worker of your own")[1].split("\n## ")[0]
    [module] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    [commands] = re.findall(r"```\n(eval .*?)```", section, re.DOTALL)
    _, setup, serve, *send, status, _ = commands.splitlines()
    environment = dict(checkout_copy(tmp_path))
    (tmp_path / "reports.py").write_text(module)
    made = await shell(
        f"{setup}; env | grep -E '^(QUEUE_URL|DEAD_LETTER_QUEUE_URL|JOBS_TABLE)='", tmp_path, environment
    )
    environment |= dict(line.split("=", 1) for line in made.splitlines())
    port = free_port()
    serve = serve.removesuffix(" &").replace("18193", str(port))
    child = await asyncio.create_subprocess_exec(
        "bash", "-c", f"exec env {serve}", cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment, "HOST": "127.0.0.1", "WAIT_SECONDS": "1", "REVISION": "aaaaaaaaaa"},
    )  # fmt: skip
    assert child.stdout is not None
    read = asyncio.create_task(child.stdout.read())
    try:
        assert await shell("\n".join(send), tmp_path, environment) == "r1  SENT\n"

        async def completed() -> bool:
            said = await shell(status, tmp_path, environment)
            return "COMPLETED" in said and "reports/r1/2026-11.pdf" in said

        await until(completed, "the report is made", seconds=60)
        said = await shell(status, tmp_path, environment)
        assert re.search(r"^completed_at +20\d\d-\d\d-\d\dT", said, re.MULTILINE), said
        assert re.search(r"^report +reports/r1/2026-11\.pdf$", said, re.MULTILINE), said
        wrong = "echo '{\"month\": 7}' > report.json; " + send[1].replace("r1", "r2")
        await shell(wrong, tmp_path, environment)

        async def dead() -> bool:
            return "month: 7 is not a month such as 2026-11" in await shell(
                "hack/run python -m workloads.common.jobs dlq list", tmp_path, environment
            )

        await until(dead, "a body that the kind refuses is dead-lettered at once", seconds=60)
    finally:
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await read
            assert await child.wait() == 0


async def test_a_worker_without_settings_says_all_that_it_needs(tmp_path: Path) -> None:
    environment = dict(checkout_copy(tmp_path))
    nothing = {"QUEUE_URL": "", "DEAD_LETTER_QUEUE_URL": "", "JOBS_TABLE": "", "SLOTS": "none"}
    line = (
        "hack/run python -c 'import sys; from workloads.common.worker import JobKind, run_worker; "
        'sys.exit(run_worker([JobKind("a", read=dict, work=None)], service="reports"))\' 2>&1'
    )
    said = await shell(line, tmp_path, {**environment, **nothing})
    assert "reports: 4 settings are wrong" in said
    assert all(f"\n  {name}" in said for name in nothing)
