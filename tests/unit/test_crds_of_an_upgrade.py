"""Today's CRDs against those of the release before: its objects stay valid, and its operator can read what they hold.

While an upgrade runs, and after one version down, the operator of before works on objects of today's CRDs. It refuses
fields that it does not know. So a new field has no default that the API server writes into objects of before.
"""

import crds
from tests import earlier

TIGHTENED = {
    r"^(\d{1,6}(ms|s|m|h)|\d{1,4}d)+$": "27 years and more are no duration",
    r"^(auto|(\d{1,6}(ms|s|m|h)|\d{1,4}d)+)$": "likewise",
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": "Gateway API refused others before",
}
"""Patterns that refuse more than those of before, and why nobody misses it."""
_LEAST, _MOST = ("minimum", "minLength", "minItems"), ("maximum", "maxLength", "maxItems", "maxProperties")


def pairs():
    """(path, schema of before, schema of today) of each field of before; None where it has gone."""
    today = {item["metadata"]["name"]: item for item in crds.definitions()}
    for item in earlier.definitions():
        name = item["metadata"]["name"]
        versions = {one["name"]: one for one in today[name]["spec"]["versions"]}
        for version in item["spec"]["versions"]:
            now = versions[version["name"]]
            assert (now["served"], now["storage"]) == (version["served"], version["storage"])
            yield from _fields(name, version["schema"]["openAPIV3Schema"], now["schema"]["openAPIV3Schema"])


def _fields(path, before, now):
    yield path, before, now
    if now is None:
        return
    for key, one in before.get("properties", {}).items():
        yield from _fields(f"{path}.{key}", one, now.get("properties", {}).get(key))
    for key in ("items", "additionalProperties"):
        if isinstance(before.get(key), dict):
            yield from _fields(f"{path}.[]", before[key], now.get(key))


def test_no_field_has_gone_or_changed_its_type():
    wrong = [path for path, before, now in pairs() if now is None or now.get("type") != before.get("type")]
    assert wrong == []


def test_no_default_writes_a_new_field_into_an_object_of_before():
    written = [
        f"{path}.{key}"
        for path, before, now in pairs()
        for key, one in now.get("properties", {}).items()
        if key not in before.get("properties", {}) and "default" in one
    ]
    assert written == [], "the operator of before refuses these objects: declare the default as Absent(…)"


def test_defaults_of_before_stay():
    changed = [path for path, before, now in pairs() if now.get("default") != before.get("default")]
    assert changed == []


def test_what_was_valid_is_valid():
    tighter = []
    for path, before, now in pairs():
        more = set(now.get("required", ())) - set(before.get("required", ()))
        fewer = set(before.get("enum", ())) - set(now.get("enum", ())) if "enum" in now else set()
        bounds = [key for key in _LEAST if now.get(key, 0) > before.get(key, 0)]
        bounds += [key for key in _MOST if now.get(key, 1e99) < before.get(key, 1e99)]
        pattern = now.get("pattern")
        if pattern not in (None, before.get("pattern")) and pattern not in TIGHTENED:
            bounds.append("pattern")
        if more or fewer or bounds or ("enum" in now and "enum" not in before):
            tighter.append((path, sorted(more), sorted(fewer), bounds))
    assert tighter == []
