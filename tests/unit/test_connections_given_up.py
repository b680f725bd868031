"""Nothing of a connection is left once its client is closed, whatever the server does: for all that call outward."""

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from controller.api.resources import CONFIG_MAPS
from controller.effects.posting import post
from controller.kube.client import KubeClient
from controller.kube.connector import LEAVE_IS_AWAITED, Connector
from controller.outward.addresses import Addresses
from controller.outward.tls import tls_of
from controller.providers._flux import FluxClient
from controller.providers._http import BoundedClient
from controller.providers._server import Server
from hack.node.pki import Authority
from tests.gate import HANG, LOOPBACK_NETWORK, answer, gate

Call = Callable[[], Awaitable[Any]]
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Silent:
    """An API server that begins each answer, goes on with none, and takes no leave when a client does.

    Or, where it `greets` nobody, one that accepts connections and never answers the handshake.
    """

    def __init__(self, folder: Path) -> None:
        self.greets = True
        authority = Authority(folder)
        authority.create()
        pair = authority.server("api", names=["localhost"], addresses=["127.0.0.1"])
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(pair.certificate, pair.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends = threading.Event()
        self._answered: list[ssl.SSLSocket] = []
        self.answers = threading.Semaphore(0)
        client = authority.client("admin", user="admin")
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.kubeconfig = str(authority.kubeconfig(folder / "kubeconfig", server=self.url, client=client))
        self._certificates = authority.pair.certificate.read_text()

    def as_source(self) -> Server:
        return Server(self.url, "here", "token", 10.0, tls_of(self._certificates))

    @contextlib.contextmanager
    def running(self) -> Iterator["Silent"]:
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            thread.join()

    def _serve(self) -> None:
        with self._listener, contextlib.ExitStack() as open_ones:
            self._listener.settimeout(0.05)
            while not self._ends.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = self._listener.accept()
                    connection.setblocking(True)  # noqa: FBT003 - socket's own signature
                    if not self.greets:
                        open_ones.enter_context(connection)
                        connection.recv(65536)
                        self.answers.release()
                        continue
                    encrypted = open_ones.enter_context(self._tls.wrap_socket(connection, server_side=True))
                    encrypted.recv(65536)
                    encrypted.sendall(_HEAD)
                    self._answered.append(encrypted)
                    self.answers.release()

    def reset(self) -> None:
        """Cuts the connection that was answered last, as the kernel does with those of a process that is killed."""
        connection = self._answered.pop()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


Opened = Callable[[Silent], AbstractAsyncContextManager[Call]]


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    with Silent(tmp_path / "pki").running() as server:
        yield server


@contextlib.asynccontextmanager
async def api_server(silent: Silent) -> AsyncIterator[Call]:
    kube = await KubeClient.connect(silent.kubeconfig)
    try:
        yield lambda: kube.list(CONFIG_MAPS, "shop")
    finally:
        await kube.close()


@contextlib.asynccontextmanager
async def flux(silent: Silent) -> AsyncIterator[Call]:
    client = FluxClient(silent.as_source(), org="shop")
    try:
        yield lambda: client.records("buckets()")
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def by_httpx(silent: Silent) -> AsyncIterator[Call]:
    client = BoundedClient(silent.as_source())
    try:
        yield lambda: client.post("/query", data=b"")
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def to_a_tenants_url(silent: Silent) -> AsyncIterator[Call]:
    addresses = Addresses(_no_api_server, listed=(LOOPBACK_NETWORK,))
    yield lambda: post(addresses, httpx.URL(silent.url), {}, b"{}", reads=0)


async def _no_api_server() -> frozenset[Any]:
    return frozenset()


async def _give_up(silent: Silent, opened: Opened) -> None:
    """A call in the middle of its answer, and then the client."""
    async with opened(silent) as call:
        task = asyncio.ensure_future(call())
        assert await asyncio.to_thread(silent.answers.acquire, timeout=10)
        await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _leaving_nothing() -> Iterator[None]:
    gc.collect()
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(one.message) for one in left] == []


@pytest.mark.parametrize("opened", [api_server, flux, by_httpx])
def test_a_call_that_is_given_up_leaves_no_socket_to_a_server_that_takes_no_leave(
    silent: Silent, opened: Opened
) -> None:
    with _leaving_nothing():
        asyncio.run(_give_up(silent, opened))


async def _give_up_as_it_is_cut(silent: Silent, opened: Opened) -> None:
    async with opened(silent) as call:
        for turns in range(12):
            task = asyncio.ensure_future(call())
            assert await asyncio.to_thread(silent.answers.acquire, timeout=10)
            await asyncio.sleep(0.05)
            assert not task.done()
            silent.reset()
            time.sleep(0.02)  # noqa: ASYNC251 - the loop finds the cut in its next turn
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("opened", [api_server, flux, by_httpx])
def test_a_call_that_is_given_up_in_the_moment_in_which_it_is_cut_leaves_nothing(
    silent: Silent, opened: Opened
) -> None:
    with _leaving_nothing():
        asyncio.run(_give_up_as_it_is_cut(silent, opened))


class Closed(asyncio.Transport):
    """One that was given up; `lost`: and cut in the same moment."""

    def __init__(self, *, lost: bool) -> None:
        super().__init__()
        self._lost = lost
        self.is_aborted = False

    def abort(self) -> None:
        if self._lost:
            raise AttributeError("'NoneType' object has no attribute '_abort'")
        self.is_aborted = True


async def test_what_cannot_be_aborted_keeps_no_other_connection() -> None:
    async with aiohttp.ClientSession(connector=Connector()) as session:
        other = Closed(lost=False)
        connector: Any = session.connector
        connector._cleanup_closed_transports += [Closed(lost=LEAVE_IS_AWAITED), other]
        connector._cleanup_closed()
        assert other.is_aborted


@pytest.mark.parametrize("opened", [api_server, flux, by_httpx, to_a_tenants_url])
def test_a_call_that_is_given_up_in_its_handshake_leaves_no_socket(silent: Silent, opened: Opened) -> None:
    silent.greets = False
    with _leaving_nothing():
        asyncio.run(_give_up(silent, opened))


async def _give_up_after(turns: int, reply: bytes) -> None:
    async with gate(reply) as it:
        addresses = Addresses(_no_api_server, listed=(LOOPBACK_NETWORK,))
        task = asyncio.create_task(post(addresses, httpx.URL(it.url), {}, b"{}", reads=0))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("reply", [HANG, answer(b"x" * 30_000_000)], ids=["none", "a long one"])
def test_a_post_that_is_given_up_at_any_moment_leaves_no_socket(reply: bytes) -> None:
    """Also one that has its answer, of which it reads nothing."""
    with _leaving_nothing():
        for turns in range(60):
            asyncio.run(_give_up_after(turns, reply))
