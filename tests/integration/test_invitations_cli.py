"""The command line, as processes, against a real service."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.invitation_service import SECRET, environment, serving

pytest_plugins = ["tests.integration.invitations_fixture"]

CHECKOUT = Path(__file__).resolve().parents[2]


async def cli(*arguments, **variables):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workloads.invitations.cli", *arguments,
        cwd=CHECKOUT, env={"PATH": os.environ["PATH"], "JWT_SECRET": SECRET, **variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


async def test_a_new_database_is_migrated_seeded_and_passes_the_smoke_test(tmp_path):
    """I23, I32."""
    database = f"sqlite:///{tmp_path / 'new.sqlite'}"
    assert (await cli("migrate", DATABASE_URL=database))[:2] == (0, "the database is up to date\n")
    assert lines((await cli("migrate", "--json", DATABASE_URL=database))[1]) == [{"migrated": True}]
    async with serving(environment(database, DELIVERY="synchronous")) as service:
        url = str(service.client.base_url)
        seeded = await cli("seed", "--url", url, "--users", "2", "--each", "3", "--json")
        again = await cli("seed", "--url", url, "--users", "2", "--each", "3", "--json")
        assert seeded == again
        assert seeded[0] == 0
        made = lines(seeded[1])
        assert [each["status"] for each in made] == [201] * 6
        assert [each["accepted"] for each in made] == [True, False, False] * 2
        own = (await service.get("/api/invitations", "seed-user-1")).json()["invitations"]
        assert {each["inviteCode"] for each in own} == {each["code"] for each in made[3:]}
        code, out, err = await cli("smoke", "--url", url, "--sent-within", "5")
        assert (code, err) == (0, "")
        assert len(out.splitlines()) == 9
        assert all(line.startswith("ok ") for line in out.splitlines())


async def test_the_smoke_test_says_what_is_wrong(sqlite_url):
    """I32."""
    async with serving(environment(sqlite_url, ALLOW_FAULTS="true", ERROR_RATE="1")) as service:
        code, out, _ = await cli("smoke", "--url", str(service.client.base_url), "--json")
    checks = {each["name"]: each["wrong"] for each in lines(out)}
    assert code == 1
    assert checks["the page is there"].startswith("/ answers 500 instead of 200")
    assert checks["a friend is invited"].startswith("/api/invitations answers 500 instead of 201")
    assert checks["the invitation is listed"] == "there is no invitation to look at"


async def test_a_token_is_what_the_service_trusts(sqlite_url):
    """I12, I32."""
    variables = {"JWT_ISSUER": "https://sign-in.example.com", "JWT_AUDIENCE": "invitations", "JWT_SCOPE": "invite"}
    async with serving(environment(sqlite_url, **variables)) as service:
        _, out, _ = await cli("token", "--user", "u7", "--link", "http://x/", "--json", **variables)
        (made,) = lines(out)
        assert made["link"] == f"http://x/#token={made['token']}"
        answer = await service.client.get("/api/rewards", headers={"Authorization": f"Bearer {made['token']}"})
        assert answer.status_code == 200


async def test_the_smoke_test_goes_through_a_gateway_whose_host_name_does_not_resolve():
    """I32."""
    hosts: set[str] = set()

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        hosts.update(line.split(": ", 1)[1] for line in head.splitlines() if line.lower().startswith("host: "))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as gateway:
        url = f"http://127.0.0.1:{gateway.sockets[0].getsockname()[1]}"
        code, _, err = await cli("smoke", "--url", url, "--host", "invite.example.com")
    assert (code, err) == (1, "")
    assert hosts == {"invite.example.com"}
