"""compose.yaml's services, in their order, as processes: no engine is needed to find out that one does not start."""

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from hack.node.aws import LocalAws
from hack.node.postgres import Postgres
from hack.node.process import free_port
from tests.e2e.patience import until

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.postgres_fixture"]

CHECKOUT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())["services"]


class Machine:
    """Where this machine has what the containers would find by name."""

    def __init__(self, aws: str, database: str) -> None:
        self.ports = {name: free_port() for name in ("image-worker", "invitations")}
        self._aws = aws
        self._database = database

    def environment(self, service: str) -> Mapping[str, str]:
        told = {
            name: value.replace("http://aws:4566", self._aws)
            for name, value in SERVICES[service]["environment"].items()
        }
        if "DATABASE_URL" in told:
            told["DATABASE_URL"] = self._database
        port = {"PORT": str(self.ports[service])} if service in self.ports else {}
        return {"PATH": os.environ["PATH"], **told, **port, "HOST": "127.0.0.1"}

    async def start(self, service: str, command: list[str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable if part == "/app/bin/python" else part for part in command),
            cwd=CHECKOUT, env=self.environment(service), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def run(self, service: str, command: list[str]) -> str:
        child = await self.start(service, command)
        async with asyncio.timeout(60):
            said, _ = await child.communicate()
        assert child.returncode == 0, (service, command)
        return said.decode()

    @asynccontextmanager
    async def serving(self, service: str) -> AsyncIterator[None]:
        child = await self.start(service, entrypoint(service))
        assert child.stdout is not None
        drained = asyncio.create_task(child.stdout.read())
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.ports[service]}", trust_env=False) as client:

                async def ready() -> bool:
                    try:
                        return (await client.get("/readyz")).status_code == 200
                    except httpx.TransportError:
                        return False

                await until(ready, f"{service} is ready", seconds=60)
            yield
        finally:
            child.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                await drained
                await child.wait()


def entrypoint(service: str) -> list[str]:
    described = SERVICES[service]
    image = (CHECKOUT / described["build"]["dockerfile"]).read_text()
    [its_own] = re.findall(r"^ENTRYPOINT (\[.*\])$", image, re.MULTILINE)
    return [*described.get("entrypoint", yaml.safe_load(its_own)), *described.get("command", ())]


def readme(service: str) -> list[list[str]]:
    text = (CHECKOUT / "workloads/README.md").read_text()
    return [shlex.split(line) for line in re.findall(rf"^docker compose exec {service} (.*)$", text, re.MULTILINE)]


async def test_each_service_starts_and_the_readmes_commands_do_what_they_say(
    local_aws: LocalAws, postgres: Postgres
) -> None:
    machine = Machine(local_aws.url, postgres.create("compose"))
    for once in ("image-worker-setup", "invitations-setup", "invitations-migration"):
        await machine.run(once, entrypoint(once))
    async with AsyncExitStack() as stack:
        for service in machine.ports:
            await stack.enter_async_context(machine.serving(service))
        send, look = readme("image-worker")
        assert "SENT" in await machine.run("image-worker", send)

        async def completed() -> bool:
            return "COMPLETED" in await machine.run("image-worker", look)

        await until(completed, "the image is made", seconds=60)
        smoke, token = readme("invitations")
        here = f"http://127.0.0.1:{machine.ports['invitations']}"
        checks = (await machine.run("invitations", [*smoke, "--url", here])).splitlines()
        assert checks
        assert all(line.startswith("ok") for line in checks)
        assert "/#token=" in await machine.run("invitations", token)
