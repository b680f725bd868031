"""The OpenAPI document: what it says, and that requests made up from it find no answer that it does not have."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.invitation_service import environment, phone, serving, signed_in, stop_link, token
from workloads.invitations.opening import open_database
from workloads.invitations.postgres import Pooling

pytest_plugins = ["tests.integration.invitations_fixture"]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# A string is a phone number or not by rules that no schema can say: 422.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "410", "422", "429"]

[[operations]]
include-path = "/api/optouts"
parameters = {{ code = "{code}", secret = "{secret}" }}

[[operations]]
include-path = "/invite/{{code}}"
parameters = {{ code = "{code}" }}

[[operations]]
include-path = "/invite/{{code}}/stop"
parameters = {{ code = "{code}", o = "{secret}" }}

[[operations]]
include-path = "/api/invitations/{{code}}/accept"
parameters = {{ code = "{code}" }}
"""


@pytest.mark.timeout(120)
async def test_requests_made_up_from_the_document_find_no_answer_that_it_does_not_have(postgres_url, tmp_path):
    """I28."""
    async with serving(environment(postgres_url, DAILY_LIMIT="10000")) as service:
        paths = (await service.client.get("/openapi.json")).json()["paths"]
        operations = sum(len(each) for each in paths.values())
        code = (await service.invite("friend", phone(1))).json()["inviteCode"]
        database = await open_database(postgres_url, Pooling())
        secret = (await stop_link(database, code)).partition("o=")[2]
        await database.close()
        file = tmp_path / "schemathesis.toml"
        file.write_text(CONFIGURATION.format(code=code, secret=secret))
        process = await asyncio.create_subprocess_exec(
            *(SCHEMATHESIS, "--config-file", file, "run", str(service.client.base_url.join("/openapi.json"))),
            *("--header", f"Authorization: Bearer {token('u1')}"),
            *("--checks", "all", "--max-examples", "25", "--seed", "1", "--no-color"),
            stdout=asyncio.subprocess.PIPE,
            cwd=tmp_path,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert f"{operations} selected / {operations} total" in said.decode()


async def test_the_document_is_openapi_3_1_and_every_operation_has_an_example(sqlite_url):
    """I28."""
    async with serving(environment(sqlite_url)) as service:
        document = (await service.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["description"], where
            for status, answer in operation["responses"].items():
                for media, content in answer.get("content", {}).items():
                    if media == "application/problem+json":
                        assert content["examples"], f"{where} {status}"
                        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                    elif media == "application/json":
                        name = content["schema"]["$ref"].rpartition("/")[2]
                        assert "examples" in schemas[name], f"{where} {status}: {name}"
    assert "HTTPValidationError" not in schemas


async def test_what_the_examples_say_is_what_is_answered(sqlite_url):
    """I1, I28."""
    async with serving(environment(sqlite_url)) as service:
        document = (await service.client.get("/openapi.json")).json()
        (example,) = document["components"]["schemas"]["InvitationOrder"]["examples"]
        answer = await service.client.post("/api/invitations", json=example, headers=signed_in("u1"))
    (promised,) = document["components"]["schemas"]["InvitationMade"]["examples"]
    assert set(answer.json()) == set(promised)
