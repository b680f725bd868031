"""How many requests are begun, who waits, and who is refused."""

import asyncio
import contextlib
from collections import Counter

import httpx
import pytest

from workloads.invitations.bounded import Bounded

PATIENT_S = 60.0


class Work:
    """An application whose requests end when they are let go."""

    def __init__(self):
        self.begun = 0
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self, scope, receive, send):
        self.begun += 1
        await self.go.wait()
        if self.fails:
            raise KeyError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def work():
    return Work()


@contextlib.asynccontextmanager
async def asking(app, count, path="/"):
    """So many at once; their answers."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=PATIENT_S) as client:
        yield [asyncio.create_task(client.get(path)) for _ in range(count)]


async def until(holds):
    async with asyncio.timeout(PATIENT_S):
        while not holds():  # noqa: ASYNC110 - requests are begun by the loop itself
            await asyncio.sleep(0)


async def test_more_than_can_be_worked_on_wait_their_turn_and_all_are_served(work):
    app = Bounded(work, at_once=100, begun=3, wait_s=PATIENT_S)
    async with asking(app, 20) as answers:
        await until(lambda: work.begun == 3)
        await asyncio.sleep(0.05)
        assert work.begun == 3, "nothing is done for who waits"
        work.go.set()
        assert Counter([(await each).status_code for each in answers]) == {200: 20}


async def test_who_waits_too_long_is_refused_before_anything_was_done(work):
    app = Bounded(work, at_once=100, begun=3, wait_s=0.05)
    async with asking(app, 8) as answers:
        await until(lambda: sum(each.done() for each in answers) == 5)
        refused = [each.result() for each in answers if each.done()]
        assert {each.status_code for each in refused} == {503}
        assert "waited for 0.05 s. It was not processed" in refused[0].json()["detail"]
        work.go.set()
        assert Counter([(await each).status_code for each in answers]) == {200: 3, 503: 5}
    assert work.begun == 3


async def test_too_many_are_refused_at_once_and_probes_never(work):
    app = Bounded(work, at_once=5, begun=3, wait_s=PATIENT_S, probes=frozenset({"/healthz"}))
    async with asking(app, 9) as answers, asking(app, 2, "/healthz") as probes:
        await until(lambda: sum(each.done() for each in answers) == 4)
        await until(lambda: work.begun == 3 + 2)
        work.go.set()
        assert Counter([(await each).status_code for each in answers]) == {200: 5, 503: 4}
        assert [(await each).status_code for each in probes] == [200, 200]


async def test_a_place_is_free_again_after_a_failure_and_after_a_caller_who_left(work):
    app = Bounded(work, at_once=2, begun=1, wait_s=PATIENT_S)
    work.fails = True
    work.go.set()
    async with asking(app, 2) as failing:
        await asyncio.gather(*failing)
    work.fails = False
    work.go.clear()
    async with asking(app, 2) as leaving:
        await until(lambda: work.begun == 3)
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
    work.go.set()
    async with asking(app, 2) as answers:
        assert [(await each).status_code for each in answers] == [200, 200]
