"""Tokens whose keys are fetched from their issuer, a small server of the test's own."""

import contextlib
import json
import time

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from hack.node.process import free_port
from tests.invitation_service import environment, problem, serving
from workloads.invitations.jwks import Jwks, KeysGoneError
from workloads.invitations.tokens import Algorithm, TokenError, Tokens, Trust

pytest_plugins = ["tests.integration.invitations_fixture"]

FIRST, SECOND, STRANGE = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3))


class Issuer:
    """`/keys` gives what is in `keys`; `status` is what it answers with."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.status = 200
        self.asked = 0
        self.port = free_port()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/keys"

    async def _answer(self, _):
        self.asked += 1
        keys = [
            {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig", "alg": "RS256"}
            for key_id, key in self.keys.items()
        ]
        return web.json_response({"keys": keys}, status=self.status)

    @contextlib.asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_get("/keys", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def issuer():
    async with Issuer().serving() as issuer:
        yield issuer


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def tokens(issuer, clock):
    async with httpx.AsyncClient(trust_env=False) as client:
        trust = Trust(Algorithm.RS256, jwks_url=issuer.url)
        yield Tokens(trust, Jwks(issuer.url, client, clock=clock).key)


def signed(key, key_id, user="u1"):
    headers = {"kid": key_id} if key_id else {}
    return jwt.encode({"sub": user, "exp": time.time() + 600}, key, algorithm="RS256", headers=headers)


async def test_a_token_is_checked_with_the_key_that_it_names(tokens, issuer):
    """I12."""
    issuer.keys = {"k1": FIRST, "k2": SECOND}
    assert (await tokens.user(signed(FIRST, "k1"))).id == "u1"
    assert (await tokens.user(signed(SECOND, "k2", "u2"))).id == "u2"
    for forged in (signed(STRANGE, "k1"), signed(FIRST, "k2", "u3")):
        with pytest.raises(TokenError, match="not valid"):
            await tokens.user(forged)
    assert issuer.asked == 1


async def test_a_new_key_is_fetched_but_not_for_every_id_that_is_made_up(tokens, issuer, clock):
    """I12."""
    issuer.keys = {"k1": FIRST}
    await tokens.user(signed(FIRST, "k1"))
    issuer.keys = {"k1": FIRST, "k2": SECOND}
    for number in range(10):
        with pytest.raises(TokenError, match="does not have"):
            await tokens.user(signed(STRANGE, f"made-up-{number}"))
    assert issuer.asked == 1
    clock.now += 11
    assert (await tokens.user(signed(SECOND, "k2"))).id == "u1"
    assert issuer.asked == 2


async def test_a_key_that_was_withdrawn_is_good_for_an_hour_at_most(tokens, issuer, clock):
    """I12."""
    issuer.keys = {"k1": FIRST, "k2": SECOND}
    await tokens.user(signed(FIRST, "k1"))
    issuer.keys = {"k2": SECOND}
    assert (await tokens.user(signed(FIRST, "k1", "u2"))).id == "u2"
    clock.now += 3601
    with pytest.raises(TokenError, match="does not have"):
        await tokens.user(signed(FIRST, "k1", "u3"))


async def test_while_the_issuer_is_away_known_keys_are_good(tokens, issuer, clock):
    """I12."""
    issuer.keys = {"k1": FIRST}
    await tokens.user(signed(FIRST, "k1"))
    issuer.status = 500
    clock.now += 3601
    assert (await tokens.user(signed(FIRST, "k1", "u2"))).id == "u2"
    with pytest.raises(TokenError):
        await tokens.user(signed(SECOND, "k2"))


@pytest.mark.parametrize("status", [500, 200])
async def test_without_any_key_nobody_is_refused_for_good(tokens, issuer, clock, status):
    """I12."""
    issuer.status = status
    with pytest.raises(KeysGoneError):
        await tokens.user(signed(FIRST, "k1"))
    issuer.status, issuer.keys = 200, {"k1": FIRST}
    clock.now += 11
    assert (await tokens.user(signed(FIRST, "k1"))).id == "u1"


async def test_a_service_whose_issuer_is_away_answers_503(sqlite_url):
    """I10, I12."""
    issuer = Issuer()  # that serves nothing
    variables = environment(sqlite_url, JWT_ALGORITHM="RS256", JWT_SECRET="", JWT_JWKS_URL=issuer.url)
    async with serving(variables) as service:
        answer = await service.client.get(
            "/api/invitations", headers={"Authorization": f"Bearer {signed(FIRST, 'k1')}"}
        )
        assert "issuer" in problem(answer, 503, "UNAVAILABLE")
        async with issuer.serving():
            issuer.keys = {"k1": FIRST}
            answer = await service.client.get(
                "/api/invitations", headers={"Authorization": f"Bearer {signed(FIRST, 'k1')}"}
            )
            problem(answer, 503, "UNAVAILABLE")  # it is not asked at every request
