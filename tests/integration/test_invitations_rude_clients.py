"""Clients that send too much, too slowly, or half of it, on a real server."""

import asyncio
import contextlib
import json
import time

import pytest

from tests.invitation_service import environment, phone, problem, serving, signed_in, token

pytest_plugins = ["tests.integration.invitations_fixture"]

MEGABYTE = 1 << 20


@pytest.fixture
async def service(sqlite_url):
    async with serving(environment(sqlite_url, READ_SECONDS="0.3")) as service:
        yield service


@contextlib.asynccontextmanager
async def connected(service):
    reader, writer = await asyncio.open_connection(service.client.base_url.host, service.client.base_url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def head(**headers):
    lines = ["POST /api/invitations HTTP/1.1", "Host: test", f"Authorization: Bearer {token('u1')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_a_body_of_a_megabyte_is_413(service):
    """I10, I30."""
    body = json.dumps({"phoneNumber": "+1555" + "5" * MEGABYTE})
    headers = {**signed_in("u1"), "Content-Type": "application/json"}
    answer = await service.client.post("/api/invitations", content=body, headers=headers)
    assert "at most 16384 bytes" in problem(answer, 413, "BODY_TOO_LARGE")


async def test_a_megabyte_whose_length_is_not_told_is_413(service):
    """I30."""

    async def pieces():
        for _ in range(64):
            yield b" " * (MEGABYTE // 64)

    answer = await service.client.post("/api/invitations", content=pieces(), headers=signed_in("u1"))
    problem(answer, 413, "BODY_TOO_LARGE")


async def test_who_asks_before_sending_a_megabyte_need_not_send_it(service):
    """I30."""
    async with connected(service) as (reader, writer):
        writer.write(head(Content_Length=MEGABYTE, Expect="100-continue"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_a_body_without_end_is_cut_off(service):
    """I30."""
    async with connected(service) as (reader, writer):
        writer.write(head(Content_Length=100 * MEGABYTE))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        await reader.read()  # to its end: the connection is closed


async def test_a_body_that_does_not_come_is_408(service):
    """I30."""
    async with connected(service) as (reader, writer):
        writer.write(head(Content_Length=30) + b"{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        assert b'"code": "REQUEST_TIMEOUT"' in await reader.read()


@pytest.mark.parametrize("beginning", [b"", b"POST /api", b"POST /api/invitations HTTP/1.1\r\nHost: te"])
async def test_headers_that_do_not_come_are_not_waited_for(service, beginning):
    """I30."""
    async with connected(service) as (reader, writer):
        writer.write(beginning)
        assert await reader.read() == b""


async def test_headers_that_trickle_in_are_not_waited_for_either(service):
    """I30."""
    async with connected(service) as (reader, writer):
        writer.write(b"POST /api/invitations HTTP/1.1\r\n")
        ended = asyncio.ensure_future(reader.read())
        began = time.monotonic()
        while not ended.done():
            with contextlib.suppress(ConnectionError):
                writer.write(b"X: y\r\n")
            await asyncio.wait({ended}, timeout=0.05)
            assert time.monotonic() - began < 20
        with contextlib.suppress(ConnectionError):
            assert await ended == b""


async def test_headers_without_end_are_cut_off(service):
    """I30."""
    async with connected(service) as (reader, writer):
        writer.write(b"POST /api/invitations HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"X: " + b"y" * 10_000 + b"\r\n")
                await writer.drain()
            assert await reader.read() == b""


async def test_a_connection_may_wait_for_its_next_request_and_then_has_the_same_time_again(service):
    """I30."""
    async with connected(service) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"ok\n")
            assert await silence(reader, seconds=0.5)
        writer.write(b"GET /hea")
        assert await reader.read() == b""


async def silence(reader, *, seconds):
    """Whether nothing comes, and the connection stays."""
    reading = asyncio.ensure_future(reader.read(1))
    done, _ = await asyncio.wait({reading}, timeout=seconds)
    reading.cancel()
    await asyncio.wait({reading})
    return not done


async def test_bodies_that_do_not_come_take_no_place_of_those_that_do(sqlite_url):
    """I30, I31: 64 of them were 503 for everybody until the time ran out."""
    async with (
        serving(environment(sqlite_url, READ_SECONDS="60", REQUESTS_AT_ONCE="4")) as service,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(8):
            reader, writer = await stack.enter_async_context(connected(service))
            writer.write(head(Content_Length=30, Expect="100-continue"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 100")  # the service waits for the body
        assert (await service.invite("u1", phone(1))).status_code == 201


async def test_rude_clients_keep_nobody_else_from_being_served(service):
    """I30."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            _, writer = await stack.enter_async_context(connected(service))
            writer.write(head(Content_Length=MEGABYTE) + b"{")
        assert (await service.invite("u1", phone(1))).status_code == 201
