"""Each step type runs as its example in gitops/steps has it, on real pods; copies and cookies by Traefik's own way."""

from __future__ import annotations

import base64

import aiohttp
import yaml

from controller.api.resources import (
    ANALYSIS_RUNS,
    EVENTS,
    HTTP_ROUTES,
    PODS,
    SECRETS,
    SERVICES,
    TRAEFIK_SERVICES,
    Resource,
)
from hack.install import CHECKOUT
from tests.e2e.patience import until
from tests.e2e.shop import APPROVE, NOT_JUDGED, SHORT_DRAIN, weight
from tests.e2e.test_job_step import job
from tests.verifying import verifier_source

COOKIE = "shop-version"
RIGHTS = {
    kind: Resource("rbac.authorization.k8s.io", "v1", plural, kind)
    for kind, plural in (("Role", "roles"), ("RoleBinding", "rolebindings"))
}
ERRORS = {"metrics": [{"name": "errors", "template": "http-errors"}]}
_CLIENTS = 40
_KEY = "whsec_" + base64.b64encode(b"thirty-two bytes that nobody has").decode()
_GATE = f"""
import http.server
{verifier_source()}
class Gate(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        print(body.decode(), flush=True)
        self.send_response(200)
        self.end_headers()
        headers = {{name.lower(): value for name, value in self.headers.items()}}
        said = b"yes" if is_from_pointsman(headers, body, {_KEY!r}) else b"no"
        self.wfile.write(b'{{"result": "%s"}}' % said)

http.server.HTTPServer(("", 8080), Gate).serve_forever()
"""


def documents_of(name):
    return list(yaml.safe_load_all((CHECKOUT / f"gitops/steps/{name}.yaml").read_text()))


def strategy_of(name):
    release, *_ = documents_of(name)
    (strategy,) = release["spec"]["strategy"].values()
    return strategy


def example(word):
    """The step of this type, as the example has it."""
    return next(step for step in strategy_of(word)["steps"] if word in step)


def traefik(shop):
    parents = [{"name": "public", "namespace": "gateways", "sectionName": "web"}]
    return {"traefik": {"parentRefs": parents, "hostnames": [shop.host]}}


def runnable(word, **fields):
    """With the addresses, images and times of this cluster."""
    step = example(word)
    step[word] = {**step[word], **fields}
    return step


async def open_gate(shop):
    """A server in the cluster that says yes to what is signed, with the rights that its example has; its url."""
    _, *rights = documents_of("webhook")
    for body in rights:
        body["metadata"]["namespace"] = shop.namespace
        await shop.kube.create(RIGHTS[body["kind"]], shop.namespace, body)
    secret = {"metadata": {"name": "gate"}, "stringData": {"signing": _KEY}}
    await shop.kube.create(SECRETS, shop.namespace, {"apiVersion": "v1", "kind": "Secret", **secret})
    (container,) = job(does=_GATE)["job"]["template"]["spec"]["containers"]
    spec = {**job()["job"]["template"]["spec"], "containers": [{**container, "name": "gate"}]}
    pod = {"metadata": {"name": "gate", "labels": {"app": "gate"}}, "spec": spec}
    await shop.kube.create(PODS, shop.namespace, {"apiVersion": "v1", "kind": "Pod", **pod})
    ports = {"selector": {"app": "gate"}, "ports": [{"port": 80, "targetPort": 8080}]}
    service = {"metadata": {"name": "gate"}, "spec": ports}
    await shop.kube.create(SERVICES, shop.namespace, {"apiVersion": "v1", "kind": "Service", **service})
    return f"http://gate.{shop.namespace}.svc.cluster.local/check"


async def requests_of(shop, revision):
    """As the pods of the revision have counted them, whoever got the answers."""
    influx = shop.cluster.influx
    query = (
        f'from(bucket: "{influx.bucket}") |> range(start: -10m) '
        f'|> filter(fn: (r) => r._measurement == "http.server.requests" and r.revision == "{revision}" and '
        'r._field == "count") |> group() |> sum()'
    )
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Token {influx.token}"}) as session,
        session.post(f"{influx.url}/api/v2/query", params={"org": influx.org}, json={"query": query}) as answer,
    ):
        rows = (await answer.text()).strip().splitlines()
    return float(rows[-1].rpartition(",")[2]) if len(rows) > 1 else 0.0


async def versions_met(shop, client, times):
    met = set()
    for _ in range(times):
        async with client.get(shop.cluster.gateway_url, headers={"Host": shop.host}) as answer:
            assert answer.ok
            met.add(answer.headers["X-Revision"])
    return met


async def at_approval(shop, step):
    def asks(status):
        return status.get("reason") == "AwaitingApproval" and status["step"] == step

    return await shop.until(asks, seconds=150)


async def test_every_step_of_the_examples_is_passed_and_no_request_is_lost(shop, measured):
    gate = await open_gate(shop)
    smoke = job()["job"]
    steps = [
        example("mirror"),
        example("approve"),
        runnable("job", template=smoke["template"]),
        runnable("webhook", url=gate, every="1s"),
        weight(25),
        APPROVE,
        runnable("pause", **{"for": "1s"}),
        weight(50),
    ]
    first = await shop.given(
        traffic=traefik(shop),
        strategy={"canary": {"sticky": {"cookie": COOKIE}, "steps": steps}},
        analysis=NOT_JUDGED,
        drain=SHORT_DRAIN,
    )
    await until(lambda: shop.is_routed(shop.host), "the gateway answers")
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.commit(VERSION="2")
        second = (await at_approval(shop, 1))["canaryRevision"]

        async def has_copies():
            return await requests_of(shop, second) >= 20

        await until(has_copies, "the new version has counted copies", seconds=120)
        assert second not in load.snapshot().revisions, "nobody gets its answers"
        await shop.ask("approve")
        await at_approval(shop, 5)
        events = [one["message"] for one in await shop.kube.list(EVENTS, shop.namespace) if one["reason"] == "StepDone"]
        measured("steps", "; ".join(sorted(events)))
        assert second in (await shop.kubectl("logs", "gate")).text, "the gate was told what it is about"
        await shop.until_answered_by(load, second)
        served = await shop.kube.get(TRAEFIK_SERVICES, shop.namespace, shop.name)
        assert all(one["nativeLB"] for one in served["spec"]["weighted"]["services"]), "by the Services' own addresses"
        met = []
        for _ in range(_CLIENTS):
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
                met.append(await versions_met(shop, client, 3))
        assert all(len(one) == 1 for one in met), "each client keeps its version"
        assert set.union(*met) == {first, second}
        await shop.ask("approve")
        await shop.until(lambda status: (status["phase"], status["stableRevision"]) == ("Healthy", second), seconds=120)
        counted = await load.stop()
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert counted.failed == 0


async def test_before_its_switch_a_version_is_judged_by_copies_and_afterwards_by_everybodys_requests(shop, measured):
    strategy = strategy_of("blue-green")
    strategy["steps"][0] |= {"mirror": "50%", "analyze": {"atLeast": "3s", "atMost": "20s"}}
    analysis = {
        **ERRORS,
        "interval": "1s",
        "advanced": {"settle": "2s", "minBadUnits": 5},
    }
    first = await shop.given(
        traffic=traefik(shop),
        strategy={"blueGreen": {**strategy, "keepOld": "20s"}},  # on a busy machine too, looks come in that time
        analysis=analysis,
        drain=SHORT_DRAIN,
    )
    await until(lambda: shop.is_routed(shop.host), "the gateway answers")
    async with shop.load(rate=100, fresh=0.3) as load:
        await shop.until_answered_by(load, first, 200)
        await shop.commit(VERSION="2", ERROR_RATE="0.3")
        rejected = await shop.until_phase("RolledBack", seconds=90)
        bad = rejected["lastRollback"]["revision"]
        assert "nobody got its answers" in rejected["message"]
        assert set(load.snapshot().revisions) == {first}
        await shop.commit(VERSION="3", ERROR_RATE="0")
        done = await shop.until(lambda status: status["phase"] == "Healthy", seconds=120)
        counted = await load.stop()
    third = done["stableRevision"]
    assert third not in (first, bad)
    runs = {one["metadata"]["name"]: one for one in await shop.kube.list(ANALYSIS_RUNS, shop.namespace)}
    own = f"{shop.name}-{third}-{done['attempt']}"
    verdicts = {name: runs[name]["status"]["verdict"] for name in (own, f"{own}-preview")}
    assert verdicts == {own: "promoted", f"{own}-preview": "switched"}
    looks = {name: runs[name]["status"]["looks"] for name in verdicts}
    copied = looks[f"{own}-preview"]
    assert {look["weight"] for look in copied} == {0}
    counted_copies = [look["rows"]["errors"][1] for look in copied if look.get("copies") == 50]
    measured("copies", counted_copies)
    assert sum(counted_copies) > 0, "proven by what was copied: the rest of its time it had nothing"
    measured("looks_after", len(looks[own]))
    assert {look["weight"] for look in looks[own]} == {100}
    assert looks[own][0]["from"] >= copied[-1]["to"], "what the copies showed was looked at to the end"
    measured("message", rejected["message"])
    measured("requests", counted.sent)
    measured("failed", counted.failed)
    assert counted.failed == 0


async def test_a_header_reaches_a_version_that_nobody_else_meets_before_it_has_a_share(shop):
    header = example("header")["header"]
    share = example("weight")
    first = await shop.given(example("header"), APPROVE, share, analysis=ERRORS, drain=SHORT_DRAIN)
    await shop.commit(VERSION="2")
    second = (await at_approval(shop, 1))["canaryRevision"]

    async def answered(**headers):
        async with (
            aiohttp.ClientSession() as session,
            session.get(shop.cluster.gateway_url, headers={"Host": shop.host, **headers}) as answer,
        ):
            return answer.headers.get("X-Revision", "")

    async def reached():
        return await answered(**{header["name"]: header["value"]}) == second

    await until(reached, "the header reaches the new version")
    assert {await answered() for _ in range(20)} == {first}
    assert await answered(**{header["name"]: "never"}) == first
    await shop.ask("approve")
    assert await shop.until_weight(share["weight"]) == second
    await shop.ask("abort")
    await shop.until_phase("RolledBack")

    async def gone():
        return await shop.kube.find(HTTP_ROUTES, shop.namespace, f"{shop.name}-preview") is None

    await until(gone, "the route of the header is gone")
