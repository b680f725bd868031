"""A canary that fails everything while its metrics are down, empty, NaN or wrongly tagged, for three minutes each.

Looks of a second, canary 10 %, 100 requests/s, steps whose time is up long before data are back: whoever takes silence
for health promotes it. Then the data come back, and say the truth for ten minutes at most.
"""

import asyncio
import time
from typing import Any

from controller.api.resources import HTTP_ROUTES, METRIC_SOURCES, SECRETS, Resource
from tests.bench.report import Report, Target
from tests.bench.tampering import LIES, TRUE, Door
from tests.bench.world import NAME, Bench, bench, say
from tests.e2e.patience import until

RATE = 100.0
WEIGHT = 10
LOOK_S, SETTLE_S = 1.0, 2.0
SILENT_S, SMALL_SILENT_S = 180.0, 15.0
CONVICTING_S = 600.0
_POLL_S = 0.1
_PATIENCE_S = 120.0
_STEP = {"atLeast": "1s", "atMost": "20s"}
_ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
AT_ANY_SIZE = ("raised", "promoted", "promoted_after_outage")
TARGETS: dict[str, Target] = {
    "raised": ("<=", 0),
    "promoted": ("<=", 0),
    "promoted_after_outage": ("<=", 0),
    "cases": (">=", len(LIES)),
    # the third look after it began has then ended, and settled
    "waiting_s_worst": ("<=", 3 * LOOK_S + SETTLE_S),
}


async def run(*, small: bool = False) -> Report:
    figures: dict[str, float] = dict.fromkeys(("raised", "promoted", "promoted_after_outage", "cases"), 0)
    notes, waited, back = [], [], []
    async with bench("blind") as world, Door(world.cluster.influx.url, address=world.cluster.address).opened() as door:
        await _use(world, door)
        await world.given(
            {"weight": WEIGHT, "analyze": _STEP}, {"weight": 50, "analyze": _STEP}, interval=f"{LOOK_S:g}s"
        )
        for lie in LIES[:1] if small else LIES:
            found = await _case(world, door, lie, SMALL_SILENT_S if small else SILENT_S)
            say(f"{lie}: {found}")
            notes.append(f"{lie}: {found}")
            figures["cases"] += 1
            for name in ("raised", "promoted", "promoted_after_outage"):
                figures[name] += found[name]
            waited.append(found["waiting_s"])
            back.append(found["rolled_back_after_s"])
    figures |= {"waiting_s_worst": max(waited), "rolled_back_after_s_worst": max(back)}
    targets = {name: target for name, target in TARGETS.items() if not small or name in AT_ANY_SIZE}
    return Report("blind", figures, targets, notes)


async def _use(world: Bench, door: Door) -> None:
    """A source of the namespace's own comes before the shared one of the same name."""
    shared = await world.kube.get(METRIC_SOURCES, "pointsman-system", "default")
    spec: dict[str, Any] = {**shared["spec"], "influxdb": {**shared["spec"]["influxdb"], "url": door.url}}
    secret = spec["influxdb"]["tokenSecretRef"]["name"]
    token = await world.kube.get(SECRETS, "pointsman-system", secret)
    await world.kube.create(
        SECRETS,
        world.namespace,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": token["data"]},
    )
    # Secrets are the operator's in its own namespace only; here it is let in
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get"]}
    operator = {"kind": "ServiceAccount", "name": "pointsman", "namespace": "pointsman-system"}
    metadata, group = {"name": "pointsman-reads-its-token"}, "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
    reference = {"apiGroup": group, "kind": "Role", "name": metadata["name"]}
    binding = {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [operator]}
    del binding["rules"]
    await world.kube.create(_ROLES, world.namespace, role)
    await world.kube.create(_ROLE_BINDINGS, world.namespace, binding)
    body = {
        "apiVersion": METRIC_SOURCES.api_version,
        "kind": METRIC_SOURCES.kind,
        "metadata": {"name": "default"},
        "spec": {**spec, "allowedNamespaces": [world.namespace]},
    }
    await world.kube.create(METRIC_SOURCES, world.namespace, body)


async def _case(world: Bench, door: Door, lie: str, silent_s: float) -> dict[str, Any]:
    async with world.load(RATE) as load:
        stable = (await world.status())["stableRevision"]
        before = await world.offer(ERROR_RATE="1")

        async def has_work() -> bool:
            return _canarys_share(await _route(world), stable) > 0

        await until(has_work, "the canary has work", _PATIENCE_S)
        door.tells = lie
        silent = await _watch(world, stable, silent_s, ended=lambda _: False)
        door.tells = TRUE
        after = await _watch(world, stable, CONVICTING_S, ended=lambda status: status.get("phase") == "RolledBack")
        await load.stop()
    if (await world.status()).get("stableRevision") == stable:
        await world.restore(before)
    return {
        "raised": int(max(silent["share"], after["share"]) > WEIGHT),
        "promoted": int(silent["promoted"]),
        "promoted_after_outage": int(after["promoted"]),
        "reason": silent["reason"],
        "waiting_s": round(silent["waiting_s"], 1),
        "rolled_back_after_s": round(after["ended_s"], 1),
    }


async def _watch(world: Bench, stable: str, seconds: float, *, ended: Any) -> dict[str, Any]:
    """What was seen in these seconds: the greatest share, whether it was promoted, and when it began to wait."""
    began = time.monotonic()
    seen: dict[str, Any] = {"share": 0.0, "promoted": False, "reason": "", "waiting_s": seconds, "ended_s": seconds}
    while (now := time.monotonic() - began) < seconds:
        status = await world.status()
        seen["share"] = max(seen["share"], _canarys_share(await _route(world), stable))
        seen["promoted"] |= status.get("stableRevision", stable) != stable
        if status.get("phase") == "Waiting" and not seen["reason"]:
            seen |= {"reason": status["reason"], "waiting_s": now}
        if ended(status):
            seen["ended_s"] = now
            break
        await asyncio.sleep(_POLL_S)
    return seen


async def _route(world: Bench) -> dict[str, Any]:
    return await world.kube.get(HTTP_ROUTES, world.namespace, NAME)


def _canarys_share(route: dict[str, Any], stable: str) -> float:
    """Percent of the work that does not go to stable."""
    backends = route["spec"]["rules"][0]["backendRefs"]
    weights = {str(item["name"]): float(item.get("weight", 1)) for item in backends}
    return 100 - 100 * weights.get(f"{NAME}-{stable}", 0.0) / sum(weights.values())
