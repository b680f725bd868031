"""The last lines of a log: never more than was asked for, and never for longer."""

import asyncio

import aiohttp
import pytest

from controller.kube.client import UnavailableError
from controller.kube.pod_logs import log_tail


class Response:
    """A log whose body comes in pieces, and then hangs, breaks, or ends."""

    def __init__(self, *pieces, then=None):
        self.content, self.closed, self.read = self, False, 0
        self._pieces, self._then = pieces, then

    async def iter_any(self):
        for piece in self._pieces:
            self.read += len(piece)
            yield piece
        if self._then == "hang":
            await asyncio.Event().wait()
        if self._then == "break":
            raise aiohttp.ClientPayloadError("cut off")

    def close(self):
        self.closed = True


class Streams:
    def __init__(self, response):
        self.response, self.asked = response, []

    async def stream(self, path, query, *, timeout_s):
        self.asked.append((path, query))
        return self.response


async def tail(response, **how):
    kube = Streams(response)
    how = {"previous": False, "lines": 10, "most": 100, "within_s": 0.05, **how}
    return kube, await log_tail(kube, "shop", "web-1", "app", **how)


async def test_the_kubelet_is_asked_for_so_many_lines_and_bytes():
    kube, found = await tail(Response(b"one\n", b"two\n"), previous=True)
    assert found == b"one\ntwo\n"
    path, query = kube.asked[0]
    assert path == "/api/v1/namespaces/shop/pods/web-1/log"
    assert query == {"container": "app", "tailLines": "10", "limitBytes": "100", "previous": "true"}
    assert kube.response.closed


async def test_one_that_sends_more_is_cut_off():
    response = Response(*[b"x" * 60] * 1000)
    _, found = await tail(response)
    assert found == b"x" * 100
    assert response.read == 120
    assert response.closed


@pytest.mark.parametrize("then", ["hang", "break"])
async def test_one_that_does_not_end_is_let_go(then):
    response = Response(b"one\n", then=then)
    with pytest.raises(UnavailableError, match=r"no answer within 0\.05 s"):
        await tail(response)
    assert response.closed
