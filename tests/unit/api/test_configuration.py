"""Which ConfigMaps a template names, what of them counts, and what a version's copies are called."""

from __future__ import annotations

import copy
import random
import time
from functools import partial
from typing import Any

import pytest

from controller.api.configuration import (
    LIVE,
    MOST_CONTENT,
    KeptConfiguration,
    Reference,
    changed_keys,
    content_of,
    copy_name,
    digest_of,
    is_live,
    references,
    rewritten,
)
from controller.api.revision import configured_revision_of, revision_of

EVERYWHERE: dict[str, Any] = {
    "spec": {
        "initContainers": [{"name": "first", "envFrom": [{"configMapRef": {"name": "init"}}]}],
        "containers": [
            {
                "name": "web",
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one-key", "key": "a"}}},
                    {"name": "B", "value": "b"},
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "c"}}},
                ],
                "envFrom": [{"prefix": "X_", "configMapRef": {"name": "all-keys", "optional": True}}],
                "volumeMounts": [{"name": "one", "mountPath": "/etc/one", "subPath": "a.yaml"}],
            }
        ],
        "ephemeralContainers": [{"name": "debug", "envFrom": [{"configMapRef": {"name": "debug"}}]}],
        "volumes": [
            {"name": "one", "configMap": {"name": "volume", "items": [{"key": "a.yaml", "path": "b.yaml"}]}},
            {"name": "two", "projected": {"sources": [{"configMap": {"name": "projected"}}, {"secret": {}}]}},
            {"name": "three", "emptyDir": {}},
        ],
    }
}


def names(template: dict[str, Any]) -> list[str]:
    return [one.name for one in references(template)]


def test_a_config_map_is_found_wherever_a_template_can_name_it():
    assert names(EVERYWHERE) == ["all-keys", "debug", "init", "one-key", "projected", "volume"]


@pytest.mark.parametrize(
    ("metadata", "live"),
    [
        ({}, False),
        ({"annotations": None, "labels": {"app": "web"}}, False),
        ({"annotations": {"pointsman.dev/config": "live"}}, True),
        ({"annotations": {"pointsman.dev/config": "versioned"}}, False),
        ({"labels": {"config.openshift.io/inject-trusted-cabundle": "true"}}, True),
        ({"annotations": {"service.beta.openshift.io/inject-cabundle": "true"}}, True),
        ({"labels": {"trust.cert-manager.io/bundle": "public"}}, True),
    ],
)
def test_what_its_owner_or_a_rotation_changes_for_all_pods_is_live(metadata, live):
    assert is_live({"metadata": metadata}) is live


def test_keys_that_are_picked_are_all_that_counts():
    found = {one.name: one for one in references(EVERYWHERE)}
    assert found["one-key"] == Reference("one-key", frozenset({"a"}), frozenset({"a"}))
    assert found["volume"].keys == frozenset({"a.yaml"})
    assert found["projected"].keys is None
    assert not found["all-keys"].needed


def test_a_config_map_with_two_references_is_needed_by_the_one_that_is_not_optional():
    reference = {"name": "twice", "key": "a"}
    template = {
        "spec": {
            "containers": [
                {"env": [{"valueFrom": {"configMapKeyRef": {**reference, "key": "b", "optional": True}}}]},
                {"env": [{"valueFrom": {"configMapKeyRef": reference}}]},
            ]
        }
    }
    assert references(template) == (Reference("twice", frozenset({"a", "b"}), frozenset({"a"})),)


def test_one_reference_to_all_keys_takes_all_of_them():
    template = copy.deepcopy(EVERYWHERE)
    template["spec"]["volumes"].append({"name": "four", "configMap": {"name": "one-key", "optional": True}})
    assert next(one for one in references(template) if one.name == "one-key").keys is None


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"spec": None},
        {"spec": {"containers": "none"}},
        {"spec": {"containers": [None, {"env": {}, "envFrom": [{"configMapRef": "x"}]}]}},
        {"spec": {"volumes": [{"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}]}},
        {"spec": {"volumes": [{"configMap": {"name": "istio-ca-root-cert"}}]}},
        {"spec": {"volumes": [{"configMap": {"name": 1}}, {"projected": {"sources": [[]]}}]}},
        {"spec": {"volumes": [{"configMap": {"name": "../secrets/x"}}, {"configMap": {"name": "a" * 254}}]}},
    ],
)
def test_what_is_no_configuration_is_left_alone(template):
    assert references(template) == ()
    assert rewritten(template, {"x": "y"}) == template


def test_every_place_is_rewritten_and_what_the_user_wrote_stays():
    before = copy.deepcopy(EVERYWHERE)
    written = rewritten(EVERYWHERE, {name: f"copy-{name}" for name in names(EVERYWHERE)})
    assert names(written) == sorted(f"copy-{name}" for name in names(EVERYWHERE))
    assert before == EVERYWHERE
    assert written["spec"]["containers"][0]["volumeMounts"] == EVERYWHERE["spec"]["containers"][0]["volumeMounts"]


def test_what_is_live_keeps_its_name():
    assert "init" in names(rewritten(EVERYWHERE, {"volume": "copy"}))


def test_names_of_copies_fit_and_differ():
    assert copy_name("web", "aaaaaaaaaa", "prompts") == "web-aaaaaaaaaa-prompts"
    long = [copy_name("w" * 52, "aaaaaaaaaa", "a." * 100 + end) for end in ("b" * 53, "b" * 52 + "c")]
    assert len(set(long)) == 2
    assert all(len(name) <= 253 for name in long)


def test_the_content_is_what_counts_and_not_who_wrote_it():
    config_map = {"metadata": {"annotations": {"a": "b"}}, "data": {"x": "1", "y": "2"}, "binaryData": {"z": "AA=="}}
    assert content_of(config_map, None) == {"data": {"x": "1", "y": "2"}, "binaryData": {"z": "AA=="}}
    assert content_of(config_map, frozenset({"x", "absent"})) == {"data": {"x": "1"}}
    assert content_of({"metadata": {}, "data": None}, None) == {}


def test_a_text_and_the_same_letters_as_binary_differ():
    assert digest_of({"data": {"a": "AA=="}}) != digest_of({"binaryData": {"a": "AA=="}})


def test_a_version_keeps_its_name_where_it_names_no_config_map():
    """Its name is that of version 2 of the hash, whatever operator gave it."""
    assert revision_of("c", "shop", "web", {"spec": {}}, ()) == "wy3fgayp7a"


def test_each_change_of_the_configuration_is_another_version():
    revision = partial(configured_revision_of, "c", "shop", "web", {"spec": {}}, ())
    configurations: list[dict[str, str | None]] = [{}, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": LIVE}, {"a": None}]
    found = {revision(one) for one in configurations}
    assert len(found) == len(configurations)
    assert revision_of("c", "shop", "web", {"spec": {}}, ()) not in found


def test_what_is_kept_can_be_read_back():
    contents = {"prompts": {"data": {"tone.yaml": "kind: \u00e9\n"}, "binaryData": {"x": "AA=="}}}
    kept = KeptConfiguration({"prompts": digest_of(contents["prompts"]), "flags": LIVE}, contents)
    assert KeptConfiguration.from_raw(kept.to_raw()) == kept


@pytest.mark.parametrize("raw", [{}, {"digests": {}, "packed": "?"}, {"digests": {}, "packed": "AAAA"}, {"digests": 1}])
def test_what_was_not_kept_by_us_is_refused(raw):
    with pytest.raises(ValueError, match="cannot be read"):
        KeptConfiguration.from_raw(raw)


@pytest.mark.parametrize("character", ["a", "ü", "\u20ac", "\U0001f600", "\x01", '"'])
def test_as_much_as_a_version_can_have_is_read_back_whatever_its_characters(character):
    content = {"data": {"k": character * (MOST_CONTENT // len(character.encode()) - 1)}}
    kept = KeptConfiguration({"a": digest_of(content)}, {"a": content})
    assert KeptConfiguration.from_raw(kept.to_raw()) == kept


def test_a_bomb_is_not_unpacked():
    bomb = KeptConfiguration({"a": "x"}, {"a": {"data": {"k": "0" * (8 << 20)}}}).to_raw()
    assert len(bomb["packed"]) < 100_000
    with pytest.raises(ValueError, match="cannot be read"):
        KeptConfiguration.from_raw(bomb)


def test_a_sentence_names_keys_and_never_values():
    before = {"prompts": {"data": {"tone": "secret-1", "old": "x", "same": "y"}}}
    after = {"prompts": {"data": {"tone": "secret-2", "same": "y"}}, "trees": {"binaryData": {"a": "AA=="}}}
    assert changed_keys(before, after) == "prompts/old removed, prompts/tone changed, trees/a added"
    assert changed_keys(after, after) == ""
    many = {"prompts": {"data": {f"k{number}": "x" for number in range(9)}}}
    assert changed_keys({}, many).endswith("prompts/k4 added, and 4 more")


def test_a_text_that_is_hard_to_compress_keeps_nobody_waiting():
    """Of two letters: with the highest level it took seconds, in which no other Release was looked at."""
    dice = random.Random(7)  # noqa: S311 - the same each time
    contents = {"prompts": {"data": {"tone": "".join(dice.choices("ab", k=MOST_CONTENT))}}}
    began = time.process_time()
    raw = KeptConfiguration({"prompts": "x"}, contents).to_raw()
    assert time.process_time() - began < 1.0
    assert len(raw["packed"]) < MOST_CONTENT / 2
