"""Who calls, on a real server."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.invitation_service import SECRET, environment, problem, serving, signed_in, token
from workloads.invitations.tokens import LEEWAY_S

pytest_plugins = ["tests.integration.invitations_fixture"]

GOOD = {"phoneNumber": "+15551234567"}
OTHER = "another secret that is at least 32 bytes long"
A_DAY_S = 86_400  # longer than from reading this file to its last test
SOON = time.time() + A_DAY_S
UNSIGNED = jwt.encode({"sub": "u1", "exp": SOON}, "", algorithm="none")


@pytest.fixture
async def service(sqlite_url):
    """What is refused here never comes as far as the database."""
    async with serving(environment(sqlite_url)) as service:
        yield service


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


NOBODY = [
    ("", "send a token"),
    ("Basic dXNlcjpwYXNz", "send a token"),
    ("Bearer", "send a token"),
    ("Bearer nonsense", "not valid"),
    (f"Bearer {token('u1', exp=time.time() - 60)}", "expired"),
    (f"Bearer {token('u1', nbf=time.time() + A_DAY_S)}", "not valid"),
    (f"Bearer {token('u1', secret=OTHER)}", "not valid"),
    (f"Bearer {UNSIGNED}", "not signed with HS256"),
    (f"Bearer {jwt.encode({'sub': 'u1', 'exp': SOON}, KEY, algorithm='RS256')}", "not signed with HS256"),
    (f"Bearer {jwt.encode({'sub': 'u1'}, SECRET, algorithm='HS256')}", "exp"),
    (f"Bearer {jwt.encode({'exp': time.time() + A_DAY_S}, SECRET, algorithm='HS256')}", "sub"),
    (f"Bearer {token('')}", "sub"),
    (f"Bearer {token('u' * 129)}", "sub"),
    (f"Bearer {token('u1', pad='x' * 9000)}", "too long"),
]


async def test_who_does_not_say_who_calls_is_401(service):
    """I10, I12."""
    for authorization, says in NOBODY:
        answer = await service.client.post("/api/invitations", json=GOOD, headers={"Authorization": authorization})
        assert says in problem(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_that_expires_is_not_remembered(service):
    """I12."""
    headers = signed_in("u1", exp=service.watch.now / 1000 + 30)
    assert (await service.client.get("/api/invitations", headers=headers)).status_code == 200
    service.watch.move(seconds=30 + LEEWAY_S)
    assert "expired" in problem(await service.client.get("/api/invitations", headers=headers), 401, "UNAUTHENTICATED")


async def test_a_token_without_the_scope_is_403(sqlite_url):
    """I10, I12."""
    async with serving(environment(sqlite_url, JWT_SCOPE="invite")) as service:
        headers = signed_in("u1", scope="read write")
        answer = await service.client.post("/api/invitations", json=GOOD, headers=headers)
        assert "does not allow invite" in problem(answer, 403, "FORBIDDEN")
        headers = signed_in("u1", scope="read invite")
        assert (await service.client.post("/api/invitations", json=GOOD, headers=headers)).status_code == 201


async def test_issuer_and_audience_are_asked_for_when_set(sqlite_url):
    """I12."""
    async with serving(environment(sqlite_url, JWT_ISSUER="https://id.example", JWT_AUDIENCE="invitations")) as service:
        good = {"iss": "https://id.example", "aud": "invitations"}
        for claims, status in ((good, 200), ({**good, "iss": "x"}, 401), ({**good, "aud": "x"}, 401), ({}, 401)):
            answer = await service.client.get("/api/invitations", headers=signed_in("u1", **claims))
            assert answer.status_code == status


async def test_a_public_key_checks_tokens_and_is_no_secret(sqlite_url):
    """I12."""
    variables = environment(sqlite_url, JWT_ALGORITHM="RS256", JWT_PUBLIC_KEY=PUBLIC.decode(), JWT_SECRET="")
    claims = {"sub": "u1", "exp": time.time() + 600}
    async with serving(variables) as service:
        for signed, status in (
            (jwt.encode(claims, KEY, algorithm="RS256"), 201),
            (token("u1"), 401),
            (UNSIGNED, 401),
        ):
            headers = {"Authorization": f"Bearer {signed}"}
            answer = await service.client.post("/api/invitations", json=GOOD, headers=headers)
            assert answer.status_code == status
