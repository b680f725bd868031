"""What callers from outside find: no probes, no scripts of other sites, and bodies in JSON alone."""

from typing import cast

import httpx
import pytest

from hack.node.process import free_port
from tests.invitation_service import environment, phone, serving, signed_in
from workloads.invitations.database import Database
from workloads.invitations.migrating import migrate
from workloads.invitations.readiness import GOOD_FOR_S, Readiness

ORIGIN = "https://app.example.com"
ASKS = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


@pytest.fixture
async def database_url(tmp_path):
    url = f"sqlite:///{tmp_path / 'invitations.sqlite'}"
    await migrate(url)
    return url


async def test_probes_have_a_port_that_the_gateway_does_not_know(database_url):
    """I24: and are no way past the bound on requests."""
    port = free_port()
    async with (
        serving(environment(database_url, PROBE_PORT=str(port))) as service,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as probes,
    ):
        for path in ("/healthz", "/readyz"):
            assert (await probes.get(path)).status_code == 200
            outside = await service.client.get(path)
            assert (outside.status_code, outside.json()["code"]) == (404, "NOT_FOUND")
        assert (await probes.get("/")).status_code == 404
        assert (await probes.post("/readyz")).status_code == 405
    async with httpx.AsyncClient() as probes:
        with pytest.raises(httpx.ConnectError):
            await probes.get(f"http://127.0.0.1:{port}/healthz")


class Counting:
    answered = 0

    def __init__(self):
        self.asked = 0

    async def once(self, *_):
        self.asked += 1
        return [{"version_num": "9999"}]


async def test_readiness_is_found_out_once_a_second_however_many_ask():
    """I24."""
    now, database = [0.0], Counting()
    readiness = Readiness(cast("Database", database), clock=lambda: now[0])
    for _ in range(100):
        assert await readiness.trouble() == ""
    asked = database.asked
    now[0] = GOOD_FOR_S
    await readiness.trouble()
    assert (asked, database.asked) == (1, 2)


@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_a_body_that_is_not_json_is_said_to_be_of_a_wrong_type(database_url, given):
    """I20."""
    async with serving(environment(database_url)) as service:
        headers = signed_in("u1") | {"Content-Type": given}
        answer = await service.client.post("/api/invitations", content=b'{"phoneNumber": "x"}', headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize("given", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_read_however_it_is_written(database_url, given):
    """I20."""
    async with serving(environment(database_url)) as service:
        headers = signed_in("u1") | {"Content-Type": given}
        content = f'{{"phoneNumber": "{phone(1)}"}}'.encode()
        assert (await service.client.post("/api/invitations", content=content, headers=headers)).status_code == 201


async def test_no_script_of_another_site_calls_the_api_unless_it_is_allowed(database_url):
    """I20."""
    async with serving(environment(database_url)) as service:
        answer = await service.client.options("/api/invitations", headers=ASKS)
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with serving(environment(database_url, CORS_ORIGINS=f"{ORIGIN}, https://b.example.com")) as service:
        answer = await service.client.options(
            "/api/invitations", headers=ASKS | {"Access-Control-Request-Headers": "authorization,content-type"}
        )
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        listed = await service.client.get("/api/invitations", headers=signed_in("u1") | {"Origin": ORIGIN})
        assert listed.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "RateLimit-Remaining" in listed.headers["Access-Control-Expose-Headers"]
        other = await service.client.get("/api/invitations", headers=signed_in("u1") | {"Origin": "https://evil.test"})
        assert "Access-Control-Allow-Origin" not in other.headers
