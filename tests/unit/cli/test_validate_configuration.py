"""What `pointsman validate` can say of the ConfigMaps that a template names."""

from typing import Any

import pytest

from tests.unit.cli.test_validate import run, template, within, written

__all__ = ["run", "within", "written"]  # fixtures


def named(name: str = "prompts", key: str = "tone", **spec: Any) -> dict[str, Any]:
    reference = {"configMapKeyRef": {"name": name, "key": key}}
    container = {"name": "web", "image": "web:1", "env": [{"name": "A", "valueFrom": reference}]}
    return {
        "apiVersion": "pointsman.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "template": {"spec": {"containers": [container]}},
            "service": {"ports": [{"port": 80}]},
            "traffic": {"replicas": {}},
            **spec,
        },
    }


def config_map(data: Any, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts", **metadata}, "data": data}


def problems(run, written, *objects: dict[str, Any]) -> str:
    written("a.yaml", *objects)
    result = run("validate", "a.yaml")
    assert result.exit_code == (1 if result.stdout else 0), result.output
    return str(result.stdout)


def test_a_key_that_the_config_map_beside_it_lacks_is_named_with_its_line(run, written):
    said = problems(run, written, named(), config_map({"tine": "polite"}))
    assert "spec.template: ConfigMap prompts has no key tone (a.yaml:" in said


@pytest.mark.parametrize(
    "beside",
    [
        config_map({"tone": "polite"}),
        config_map({"other": "x"}, namespace="elsewhere"),
        config_map({"other": "x"}, annotations={"pointsman.dev/config": "live"}),
        {**config_map({"other": "x"}), "kind": "Secret"},
    ],
)
def test_what_may_be_right_has_no_problem(run, written, beside):
    assert problems(run, written, named(), beside) == ""


def test_with_config_refs_none_the_pods_are_left_to_the_cluster(run, written):
    assert problems(run, written, named(configRefs="None"), config_map({"other": "x"})) == ""


def test_a_word_that_config_refs_does_not_know_is_refused(run, written):
    assert "spec.configRefs: 'Some' is not one of Auto, None" in problems(run, written, named(configRefs="Some"))


def test_more_than_a_version_can_keep_is_said_before_it_is_applied(run, written):
    said = problems(run, written, named(), config_map({"tone": "x" * (1 << 20)}))
    assert "a version can keep 1048576: annotate one with pointsman.dev/config: live" in said


def test_too_many_config_maps_are_counted(run, written):
    body = named()
    many = [{"configMapRef": {"name": f"c{number}"}} for number in range(51)]
    body["spec"]["template"]["spec"]["containers"][0] |= {"env": [], "envFrom": many}
    assert "names 51 ConfigMaps, a version can have 50" in problems(run, written, body)


@pytest.mark.parametrize("data", [None, [], "x", {"tone": 5}])
def test_a_config_map_of_any_shape_is_no_crash(run, written, data):
    problems(run, written, named(), config_map(data), template("q"))
