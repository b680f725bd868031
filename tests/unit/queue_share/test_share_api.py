"""What a worker in another language says to the operator, and is told."""

import asyncio
import json
from typing import cast

import pytest
from aiohttp import TCPConnector, web
from aiohttp.test_utils import TestClient, TestServer

from controller.kube.callers import AUDIENCE, NOBODY, Caller, Callers
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.kube.reporters import Reporters
from controller.kube.reviews import AT_ONCE
from controller.queue_share import http
from controller.queue_share.http import ShareApi
from controller.queue_share.ledger import LASTS_S, TRIAL_S, Pod, Wanted, allocate, towards
from controller.queue_share.stores.memory import MemoryLedgers

LEDGER = "/v1/ledger/shop/thumbnails"
NOW = 1000.0


class Operator:
    def __init__(self):
        self.store = MemoryLedgers()
        self.leads = True
        self.asked = asyncio.Event()
        app = web.Application()
        api = ShareApi(
            self.store,
            leads=lambda: self.leads,
            caller_of=self.caller_of,
            may_report=self.may_report,
            clock=lambda: NOW,
        )
        app.add_routes(api.routes())
        self.reachable = self.judges = True
        self.reporters = {"worker"}
        self.judged = []
        self.client = TestClient(TestServer(app), headers={"Authorization": "Bearer of-shop"})

    async def caller_of(self, token, peer):
        assert peer == "127.0.0.1"
        self.asked.set()
        if not self.reachable:
            raise KubeError(503, "Unavailable", "the API server does not answer")
        accounts = {"of-shop": ("shop", "worker"), "of-web": ("shop", "web"), "of-bank": ("bank", "worker")}
        namespace, name = accounts.get(token, ("", ""))
        return Caller(namespace, f"system:serviceaccount:{namespace}:{name}") if namespace else NOBODY

    async def may_report(self, caller, release):
        self.judged.append((caller.username, release))
        if not self.judges:
            raise KubeError(503, "Unavailable", "the API server does not answer")
        return caller.username.rpartition(":")[2] in self.reporters

    async def says(self, **shares):
        stored = await self.store.read("shop/thumbnails")
        ledger = towards(Wanted(shares, "v1"), stored.ledger if stored else None, {}, NOW)
        await self.store.write("shop/thumbnails", ledger, over=stored.version if stored else 0, term=1)

    async def report(self, consumer="c.1", **body):
        body = {"revision": "v2", "claims": 0, "seq": 1, **body}
        answer = await self.client.put(f"{LEDGER}/consumers/{consumer}", json=body)
        return answer.status, await answer.json()


@pytest.fixture
async def operator():
    operator = Operator()
    async with operator.client:
        yield operator


async def test_a_report_is_answered_with_where_things_stand(operator):
    await operator.says(v1=75.0, v2=25.0)
    status, said = await operator.report(claims=3)
    assert status == 200
    assert said == {
        "version": 1,
        "stable": "v1",
        "canary": "v2",
        "draining": [],
        "share": 0.25,
        "epoch": int(NOW) + 1,
        "minEpoch": 0,
        "expiresIn": LASTS_S,
        "unused": 0,
        "granted": {},
        "onTrial": "",
        "trialLeft": 0.0,
    }
    assert [report.claims for report in await operator.store.reports("shop/thumbnails")] == [3]


async def test_a_version_on_trial_is_named_with_the_seconds_that_it_has_left(operator):
    ledger = towards(Wanted({"v2": 100.0}, "v1", on_trial="v2"), None, {}, NOW - 60)
    await operator.store.write("shop/thumbnails", ledger, over=0, term=1)
    _, said = await operator.report()
    assert (said["stable"], said["onTrial"], said["trialLeft"]) == ("v2", "v2", TRIAL_S - 60)


async def test_credits_are_running_totals(operator):
    await operator.says(v1=75.0, v2=25.0)
    await operator.report()
    await operator.report("s.1", revision="v1", claims=0)
    stored = await operator.store.read("shop/thumbnails")
    assert stored is not None
    pods = {"c.1": Pod("v2", 0, NOW), "s.1": Pod("v1", 0, NOW)}
    ledger = allocate(stored.ledger, pods, NOW, 10.0)
    ledger = allocate(ledger, {**pods, "s.1": Pod("v1", 8, NOW)}, NOW, 10.0)
    await operator.store.write("shop/thumbnails", ledger, over=1, term=1)
    answer = await operator.client.get(LEDGER)
    assert (await answer.json())["granted"] == {"c.1": 2}


async def test_an_older_report_changes_nothing(operator):
    await operator.says(v1=100.0)
    await operator.report(claims=9, seq=5)
    status, _ = await operator.report(claims=2, seq=4)
    assert status == 200
    assert [report.claims for report in await operator.store.reports("shop/thumbnails")] == [9]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"claims": -1}, "claims: -1 is not a whole number between 0 and 2^53"),
        ({"claims": True}, "claims: True is not a whole number between 0 and 2^53"),
        ({"seq": "2"}, "seq: '2' is not a whole number between 0 and 2^53"),
        ({"claims": None}, "claims: None is not a whole number between 0 and 2^53"),
        ({"claims": 1.5}, "claims: 1.5 is not a whole number between 0 and 2^53"),
        ({"claims": 10**400}, "claims: a number with many digits is not a whole number between 0 and 2^53"),
        ({"waiting": float("nan")}, "waiting: nan is not a whole number between 0 and 2^53"),
        ({"revision": ""}, "revision: '' is not the name of a revision, such as 7d9f8c6b54"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_a_sentence(operator, body, sentence):
    await operator.says(v1=100.0)
    assert await operator.report(**body) == (400, {"error": sentence})


@pytest.mark.parametrize("text", [b"{", b"[1]", b"x" * 5000, b"[" * 4096])
async def test_a_body_that_is_no_report_is_refused(operator, text):
    answer = await operator.client.put(f"{LEDGER}/consumers/c.1", data=text)
    assert answer.status == 400
    assert (await answer.json())["error"].startswith("the body is")


async def test_without_a_ledger_nobody_is_told_to_go_on(operator):
    status, said = await operator.report()
    assert status == 404
    assert said["error"].startswith("no ledger for shop/thumbnails")


async def test_who_does_not_lead_sends_on(operator):
    operator.leads = False
    await operator.says(v1=100.0)
    answer = await operator.client.get(LEDGER)
    assert (answer.status, answer.headers["Retry-After"], answer.headers["Connection"]) == (503, "1", "close")


@pytest.mark.parametrize(
    ("authorization", "code", "sentence"),
    [
        ("", 401, "a service account token is required"),
        ("Basic b2Y6c2hvcA==", 401, "a service account token is required"),
        ("Bearer of-nobody", 401, "the token is expired"),
        ("Bearer of-bank", 403, "the token is from namespace bank"),
    ],
)
async def test_nobody_reports_for_another_namespace(operator, authorization, code, sentence):
    await operator.says(v1=75.0, v2=25.0)
    consumer = f"{LEDGER}/consumers/c.1"
    headers = {"Authorization": authorization}
    body = {"revision": "v2", "claims": 100, "seq": 1}
    for answer in (
        await operator.client.get(LEDGER, headers=headers),
        await operator.client.put(consumer, json=body, headers=headers),
    ):
        assert answer.status == code
        assert (await answer.json())["error"].startswith(sentence)
    assert not await operator.store.reports("shop/thumbnails")


async def test_where_no_token_can_be_judged_the_caller_is_told_to_come_again(operator):
    await operator.says(v1=75.0, v2=25.0)
    operator.reachable = False
    answer = await operator.client.get(LEDGER)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_report_may_come_in_pieces(operator):
    await operator.says(v1=75.0, v2=25.0)
    body = json.dumps({"revision": "v2", "claims": 3, "seq": 1}).encode()

    async def pieces():
        yield body[:9]
        await asyncio.sleep(0.05)  # so that they are not sent as one
        yield body[9:]

    answer = await operator.client.put(f"{LEDGER}/consumers/c.1", data=pieces())
    assert answer.status == 200


async def test_half_a_report_holds_no_connection(operator, monkeypatch):
    monkeypatch.setattr(http, "_BODY_S", 0.2)
    reader, writer = await half_a_report(operator)
    async with asyncio.timeout(30):
        assert b"408" in await reader.readuntil(b"\r\n")
    writer.close()


async def test_a_caller_who_goes_away_in_mid_report_is_no_defect(operator, caplog):
    _, writer = await half_a_report(operator)
    writer.transport.abort()
    await operator.client.server.close()  # after it has ended what it does
    assert not caplog.records


async def test_a_service_account_without_the_right_reports_nothing_and_is_told_which_role_it_lacks(operator):
    await operator.says(v1=75.0, v2=25.0)
    operator.client.session.headers["Authorization"] = "Bearer of-web"
    status, said = await operator.report(claims=3)
    assert status == 403
    assert said["error"] == (
        "system:serviceaccount:shop:web may not report to Release shop/thumbnails: bind ClusterRole "
        "pointsman-worker to it in namespace shop"
    )
    assert await operator.store.reports("shop/thumbnails") == ()
    async with operator.client.get(LEDGER) as answer:
        assert answer.status == 200, "reading changes nothing"
    operator.reporters.add("web")
    assert (await operator.report(claims=3))[0] == 200


async def test_the_right_is_asked_for_this_release_and_only_where_there_is_a_ledger(operator):
    assert (await operator.report())[0] == 404
    assert operator.judged == []
    await operator.says(v1=100.0)
    assert (await operator.report())[0] == 200
    assert operator.judged == [("system:serviceaccount:shop:worker", Key("shop", "thumbnails"))]


async def test_a_right_that_cannot_be_verified_is_asked_for_again_and_not_refused(operator):
    await operator.says(v1=100.0)
    operator.judges = False
    status, said = await operator.report()
    assert (status, said["error"].startswith("the right to report cannot be verified right now: ")) == (503, True)


async def half_a_report(operator):
    """The server has begun to read it."""
    reader, writer = await asyncio.open_connection(operator.client.host, operator.client.port)
    head = f"PUT {LEDGER}/consumers/c.1 HTTP/1.1\r\nHost: it\r\nAuthorization: Bearer of-shop\r\nContent-Length: 99\r\n"
    operator.asked.clear()
    writer.write(f"{head}\r\n{{".encode())
    async with asyncio.timeout(30):
        await operator.asked.wait()
    return reader, writer


async def test_400_made_up_tokens_over_400_connections_are_refused_and_a_good_worker_is_answered(caplog):
    """Over real sockets, with reviews that take a moment."""
    reviews = Reviews()
    callers = Callers(cast("KubeClient", reviews))
    store = MemoryLedgers()
    app = web.Application()
    rights = Reporters(cast("KubeClient", reviews))
    api = ShareApi(store, leads=lambda: True, caller_of=callers.caller, may_report=rights.may_report, clock=lambda: NOW)
    app.add_routes(api.routes())
    async with TestClient(TestServer(app), connector=TCPConnector(limit=0)) as client:

        async def status(token):
            async with client.get(LEDGER, headers={"Authorization": f"Bearer {token}"}) as answer:
                return answer.status, answer.headers.get("Retry-After")

        assert await status("good") == (404, None)
        flood = [asyncio.create_task(status(f"bad-{number}")) for number in range(400)]
        for _ in range(20):
            assert await status("good") == (404, None)
        assert set(await asyncio.gather(*flood)) <= {(401, None), (503, "1")}
    assert reviews.most <= AT_ONCE
    assert not caplog.records


class Reviews:
    now = most = 0

    async def create(self, _resource, _namespace, review):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.005)
        self.now -= 1
        if review["spec"] != {"token": "good", "audiences": [AUDIENCE]}:
            return {}
        user = {"username": "system:serviceaccount:shop:worker"}
        return {"status": {"authenticated": True, "audiences": ["pointsman"], "user": user}}
