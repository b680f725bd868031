"""Edits of a Release's spec: every field of the CRD's schema, with values that it takes.

A field that is added to the schema is edited by being there; `left_out` names those that are not.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from controller import registry
from controller.api.notify import FOLDER as NOTIFIERS
from controller.api.reading import SpecError
from controller.api.release import parse_release, release_schema
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import release, template

Path = tuple[str | int, ...]
STEPS: tuple[Object, ...] = ({"weight": 50}, {"approve": {}})
GATE: Object = {
    "url": "http://gate.qa/",
    "timeout": "2s",
    "every": "3s",
    "atMost": "5m",
    "onTimeout": "rollback",
    "tokenSecretRef": {"name": "gate", "key": "token"},
    "signingSecretRef": {"name": "gate", "key": "signing"},
}
SMOKE: Object = {
    "template": {"spec": {"containers": [{"name": "smoke", "image": "smoke:1"}]}},
    "atMost": "5m",
    "retries": 1,
}
_CONTAINER: Object = {
    "image": "web:4",
    "env": [{"name": "MODE", "value": "calm"}],
    "ports": [{"containerPort": 9000, "protocol": "TCP"}],
    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
}
WHOLE: Object = {
    "metadata": {"labels": {"team": "a"}, "annotations": {"team.example.com/owner": "a"}},
    "spec": {
        "containers": [{"name": "web", **_CONTAINER}],
        "initContainers": [{"name": "prepare", **_CONTAINER}],
        "volumes": [{"name": "cache", "emptyDir": {}}],
        "imagePullSecrets": [{"name": "registry"}],
    },
}
"""A pod template with all that the schema names."""
CONFIG_MAP: Object = {"metadata": {"name": "prompts"}, "data": {"tone": "polite"}}
CONFIGURED: Object = {
    "containers": [{"name": "web", "image": "web:4", "envFrom": [{"configMapRef": {"name": "prompts"}}]}],
}
"""It names that ConfigMap."""
_MAIL = registry.modules(NOTIFIERS)["email"].EXAMPLE
OPEN: dict[Path, list[Any]] = {
    ("template",): [template(2), template(3), WHOLE, {"spec": CONFIGURED}],
    ("traffic", "gatewayAPI", "rules"): [[{"matches": [{"path": {"value": "/a"}}]}]],
    ("traffic", "gatewayAPI", "parentRefs"): [[{"name": "other"}]],
    ("traffic", "traefik"): [
        {"parentRefs": [{"name": "public"}], "hostnames": ["web.localhost"]},
        {"parentRefs": [{"name": "other"}], "nativeLB": False, "rules": [{"matches": [{"path": {"value": "/a"}}]}]},
    ],
    ("analysis", "metrics"): [
        [{"name": "errors", "template": "http-errors", "parameters": {"code": "5.."}}],
        [{"name": "floor", "template": "http-errors", "limit": {"max": "2%"}}],
        [
            {"name": "errors", "template": "http-errors"},
            {"name": "sign-ups", "template": "sign-ups", "mode": "advise"},
        ],
        [
            {
                "name": "errors",
                "template": "http-errors",
                "margin": {
                    "rollbackAbove": 1.2,
                    "promoteBelow": 1.6,
                    "slack": "0.1%",
                    "afterSwitch": {"ratio": 2.5, "slack": "1%"},
                },
            }
        ],
    ],
    ("progressDeadlineSeconds",): [60, 90],  # with less than pods need, a version is rejected
    ("analysis", "alerts"): [
        [{"matchLabels": {"alertname": "Errors", "severity": "page"}}],
        [{"matchLabels": {"alertname": "Errors"}, "then": "wait"}, {"matchLabels": {"team": "a"}, "source": "a-name"}],
    ],
    ("gitOrigin",): [
        {
            "url": "ssh://git@git.example.com:2222/team/shop.git",
            "branch": "release/1",
            "path": "apps/shop",
            "secretRef": {"name": "shop-git"},
            "write": "PullRequest",
            "signingSecretRef": {"name": "shop-signing"},
            "forge": "GitLab",
            "report": "StatusAndComment",
            "author": {"name": "Pointsman", "email": "pointsman@example.com"},
        }
    ],
    ("bake",): [{"for": "1m", "holdback": "5%"}],
    ("traffic", "queue", "ledger", "dynamodb"): [{"table": "shares", "region": "eu-central-1"}],
    ("strategy", "canary", "steps"): [
        [],
        [{"weight": 5}, {"pause": {"for": "1s"}}, {"weight": 60}],
        [{"weight": 5}, {"webhook": GATE}, {"approve": {}}],
        [{"weight": 5}, {"job": SMOKE}, {"approve": {}}],
        [{"weight": 5, "analyze": {"atLeast": "1s", "atMost": "5s"}}],
        [{"header": {"name": "x-canary", "value": "1"}}, {"weight": 5}],
        [{"header": {"name": "x-canary", "value": "1"}, "analyze": {"atMost": "5s"}}, {"weight": 5}],
    ],
    ("strategy", "blueGreen", "preview"): [
        {"hostnames": ["preview.example.com"]},
        {"header": {"name": "x-preview", "value": "1"}},
    ],
    ("strategy", "blueGreen", "steps"): [
        [],
        [{"approve": {}}],
        [{"pause": {"for": "1s"}}, {"approve": {}}],
        [{"webhook": GATE}, {"approve": {}}],
        [{"job": SMOKE}, {"approve": {}}],
        [{"header": {"name": "x-preview", "value": "1"}}, {"approve": {}}],
        [{"header": {"name": "x-preview", "value": "1"}, "analyze": {"atLeast": "0s", "atMost": "5s"}}],
    ],
    ("strategy", "canary", "scale"): ["full", "matchWeight", {"replicas": 2}],
    ("notify",): [
        [{"name": "ops", "topics": ["Promoted"], kind: module.EXAMPLE}]
        for kind, module in registry.modules(NOTIFIERS).items()
        if not getattr(module.Config, "alerts", False)
    ]
    + [[{"name": "rota", "after": "30m", kind: module.EXAMPLE}] for kind, module in registry.modules(NOTIFIERS).items()]
    + [
        [{"name": "ops", "title": "{{ release }}", "text": "{{ message }}", "email": _MAIL}],
        [{"name": "ops", "email": {**_MAIL, "port": 2525, "tls": "implicit"}}],
        [{"name": "ops", "email": {**_MAIL, "caSecretRef": {"name": "smtp", "key": "ca.crt"}}}],
    ],
}
"""Values for what the schema leaves open, and for what only makes sense together. Each of them is an edit."""
_TAKES_OVER = "takes over what only some clusters have, and only before there is a stable version: test_adopting"
NEVER: dict[Path, str] = {
    ("adopt", "deployment"): _TAKES_OVER,
    ("adopt", "service"): _TAKES_OVER,
    ("traffic", "gatewayAPI", "route", "name"): "stands instead of all that is beside it: test_existing_route",
    ("traffic", "gatewayAPI", "rules", 0, "backendRefs"): "refused, whatever it is",
    ("traffic", "traefik", "rules", 0, "backendRefs"): "refused, whatever it is",
    ("strategy", "blueGreen", "steps", 0, "weight"): "refused: a switch has no weights",
    ("strategy", "canary", "sticky", "cookie"): "refused with traffic.gatewayAPI: test_routers_traefik",
    ("strategy", "canary", "steps", 0, "mirror"): "waits for a GatewayClass that can copy: test_mirror",
    ("strategy", "blueGreen", "steps", 0, "mirror"): "waits for a GatewayClass that can copy: test_mirror",
}
"""Fields that no Release may have, or none with the router of these tests."""
TEXTS = ("a", "1s", "2s", "5%", "a-name", "http://gate.qa/", "eu-central-1")


def leaves(schema: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    """Each field that holds a value, and values that its schema takes."""
    if path in OPEN:
        yield from ((path, [value]) for value in OPEN[path])
    elif schema.get("properties"):
        for key, below in schema["properties"].items():
            yield from leaves(below, (*path, key))
    elif schema.get("type") == "array" and schema["items"].get("properties"):
        for key, below in schema["items"]["properties"].items():
            yield from leaves(below, (*path, 0, key))
    elif schema.get("type") == "array":
        yield path, [[value] for value in _values(schema["items"])]
    else:
        yield path, _values(schema)


def _values(schema: Mapping[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    match schema.get("type"):
        case "boolean":
            return [True, False]
        case "integer" | "number":
            least = schema.get("minimum", 1)
            return [least + 1, least + 2]
        case "object":
            takes_more = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
            return [] if takes_more else [{}]
        case _:
            return [8443, *TEXTS]


def below(schema: Mapping[str, Any], path: Path) -> Iterator[Path]:
    """All fields in a field."""
    items = schema.get("items")
    if items is not None:
        yield from below(items, (*path, 0))
    for key, field in schema.get("properties", {}).items():
        yield (*path, key)
        yield from below(field, (*path, key))


def given(value: Any, path: Path) -> Iterator[Path]:
    """All fields that a value has. The items of a list count as one."""
    if isinstance(value, list):
        for item in value:
            yield from given(item, (*path, 0))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key)
            yield from given(part, (*path, key))


def left_out(schema: Mapping[str, Any], edited: set[Path]) -> list[str]:
    """The fields that no story edits, each with what to do about it."""
    found = []
    for path, _ in leaves(schema):
        if path not in edited and path not in NEVER:
            found.append(f"{_text(path)}: no value here fits it. Add one to OPEN or TEXTS of {__name__}.")
    for path, values in OPEN.items():
        within = schema
        for key in path:
            within = within["properties"][key]
        known = {one for value in values for one in given(value, path)}
        missed: list[Path] = []
        for one in below(within, path):
            if one not in known and not any(one[: len(other)] == other for other in (*NEVER, *missed)):
                missed.append(one)
        found += [f"{_text(one)}: no value of OPEN has it. Add one, or say in NEVER why not." for one in missed]
    return found


def _text(path: Path) -> str:
    return ".".join(["spec", *(str(key) for key in path if key != 0)])


EDITED: set[Path] = set()
"""Fields for which a value was found that fits the rest and differs from what was there."""
LEAVES = [leaf for leaf in leaves(release_schema(registry.kinds())) if leaf[0] not in NEVER]


def edited(spec: Object, path: Path, value: Any) -> Object:
    """Of a choice only one is left: the other modules beside it go."""
    after = copy.deepcopy(spec)
    at: Any = after
    for key, below in itertools.pairwise(path):
        empty: Any = [] if isinstance(below, int) else {}
        if isinstance(key, int):
            if not at:
                at.append(empty)
            at = at[0]
        else:
            if key in ("traffic", "strategy") and below not in at.get(key, {}):
                at[key] = {}
            at = at.setdefault(key, empty)
    at[path[-1]] = value
    metrics = ("analysis", "metrics")
    if (
        path[-1] == "steps"
        and any("analyze" in step for step in value)
        and not after.get("analysis", {}).get("metrics")
    ):
        chosen = any("analyze" in step and "header" in step for step in value)
        return edited(after, metrics, OPEN[metrics][chosen])  # or there is nothing to analyze
    return after


def fits(spec: Object) -> bool:
    """What does not is refused by the API server or by `parse_release`, with the field's path and a sentence."""
    try:
        parse_release("web", spec, registry.kinds())
    except SpecError:
        return False
    return True


def edits(seed: int) -> Iterator[list[Object]]:
    """Stories of several specs, in which each field is edited, eight to a story."""
    draw = random.Random(seed)  # noqa: S311 - the order of edits
    left = list(LEAVES)
    draw.shuffle(left)
    while left:
        spec: Object = release("web", *STEPS)["spec"]
        story = []
        for path, values in left[:8]:
            drawn = [edited(spec, path, value) for value in draw.sample(values, len(values))]
            after = next((after for after in drawn if after != spec and fits(after)), None)
            if after is not None:
                spec = after
                EDITED.add(path)
            story.append(spec)
        del left[:8]
        yield story
