"""Whom a Release notifies, as far as that can be known without a cluster."""

import asyncio
from pathlib import Path

import pytest
import yaml

from controller import registry
from controller.api.choice import OneOf
from controller.api.fields import Place
from controller.api.notify_default import parse_default
from controller.cli._checks import check
from controller.cli._manifests import read_manifests
from tests import golden

SLACK = {"slack": {"urlSecretRef": {"name": "slack-team", "key": "url"}}}


def problems(tmp_path, *objects):
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    report = asyncio.run(check(read_manifests([str(file)], {}, exclude=[]).documents))
    return [(one.path, one.problem) for one in report.problems]


def release(**target):
    return golden.release("shop", notify=[{"name": "team", **SLACK, **target}])


@pytest.mark.parametrize(
    ("fields", "path", "said"),
    [
        ({"text": "{{ mesage }}"}, "text", "of AwaitingApproval: cannot be rendered: 'mesage' is undefined"),
        ({"title": "{% if %}"}, "title", "cannot be rendered: line 1: "),
        ({"text": "{% if topic == 'Promoted' %}{{ x }}{% endif %}"}, "text", "of Promoted: cannot be rendered: 'x' is"),
        ({"text": "{{ message.__class__ }}"}, "text", "cannot be rendered: "),
    ],
)
def test_a_text_that_cannot_be_rendered_is_said_with_its_path(tmp_path, fields, path, said):
    ((at, message),) = problems(tmp_path, release(**fields))
    assert at == f"spec.notify[0].{path}"
    assert said in message


def test_a_text_that_can_be_rendered_is_no_problem(tmp_path):
    text = "{{ title }} {{ message | upper }}{% for one in next %}{{ one }}{% endfor %}{{ attempt + 1 }}"
    assert problems(tmp_path, release(text=text)) == []


@pytest.mark.parametrize("part", ["data", "stringData"])
def test_a_secret_among_the_files_has_to_have_the_key(tmp_path, part):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slack-team"}, part: {"token": "eA=="}}
    ((at, message),) = problems(tmp_path, release(), secret)
    assert at == "spec.notify[0].slack"
    assert message.startswith("Secret slack-team has no key url (")
    assert problems(tmp_path, release(), {**secret, part: {"url": "eA=="}}) == []


def config_map(text):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pointsman-notify"}, "data": {"notify": text}}


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("- {name: a}", "data.notify[0]", "needs exactly one of"),
        ("- {name: a, text: '{{ x }}', slack: {urlSecretRef: {name: a}}}", "data.notify[0].text", "'x' is undefined"),
        ("{", "data.notify", "is not YAML: "),
        ("x: &a [1]\ny: [*a, *a]", "data.notify", "has an alias"),
        ("x" * 20000, "data.notify", "20000 characters, maximum is 16384"),
        ("[" * 10000, "data.notify", "is not YAML"),
        ("a: b", "data.notify", "must be a list"),
    ],
)
def test_the_default_of_a_namespace_is_checked_likewise(tmp_path, text, path, said):
    ((at, message),) = problems(tmp_path, config_map(text))
    assert at == path
    assert said in message


def test_a_default_that_can_be_meant_is_no_problem(tmp_path):
    assert problems(tmp_path, config_map("- {name: a, slack: {urlSecretRef: {name: a}}}")) == []


def test_the_example_is_no_problem():
    folder = Path(__file__).parents[3] / "gitops" / "notify"
    report = asyncio.run(check(read_manifests([str(folder)], {}, exclude=[]).documents))
    assert report.problems == []
    (role, _), (default,) = (
        list(yaml.safe_load_all((folder / name).read_text())) for name in ("role.yaml", "default.yaml")
    )
    targets = parse_default(default, registry.kinds())
    configs = [OneOf("notifiers").parse({one.kind: one.raw}, Place("", registry.kinds())).config for one in targets]
    named = {ref.name for config in configs for ref in config.secrets().values()}
    assert named == set(role["rules"][0]["resourceNames"])
