"""Files of strangers become manifests, or a sentence, and nothing else."""

import pytest

from controller.sync import parsing
from controller.sync.parsing import parsed

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {since: 2026-11-29, on: 'yes'}\n"
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
LAUGHS = "a0: &a0 [1, 2]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


async def test_a_file_has_several_documents_and_lists():
    listed = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n"
    found = await parsed(
        {
            "a.yaml": f"---\n{GOOD}---\n---\n{listed}",
            "b.json": '{"kind": "A", "apiVersion": "v1", "metadata": {"name": "b"}}',
        }
    )
    assert found.failures == ()
    assert [(one.file, one.kind, one.name) for one in found.manifests] == [
        ("a.yaml", "ConfigMap", "settings"),
        ("a.yaml", "Secret", "a"),
        ("b.json", "A", "b"),
    ]
    assert found.manifests[0].raw["data"] == {"since": "2026-11-29", "true": "yes"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "is not YAML, line 2"),
        ("a: b: c", "is not YAML, line 1"),
        ("- a", "has a document that is no object"),
        ("a: 1", "has a document without apiVersion and kind"),
        ("apiVersion: v1\nkind: Secret", "has a Secret without metadata.name"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: []}", "has a Secret whose labels are no object"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: 3}", "has a Secret without metadata.name"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a b}", "has a Secret whose name or namespace is none"),
        (f"{GOOD}---\nsops: {{}}", "is encrypted with SOPS"),
        ("a: .inf", "has a value that Kubernetes knows not"),
        ("a: !!binary aGk=", "has a value that Kubernetes knows not"),
        ("? [a]\n: b", "is not YAML"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        (LAUGHS, "has more values, or deeper ones, than any manifest needs"),
        (MERGES, "has more values, or deeper ones"),
    ],
)
async def test_bad_yaml_is_a_sentence_and_keeps_no_other_file(text, sentence):
    found = await parsed({"a.yaml": GOOD, "bad.yaml": text, "z.yaml": GOOD})
    assert [one.file for one in found.manifests] == ["a.yaml", "z.yaml"]
    ((what, message),) = [(one.what, one.message) for one in found.failures]
    assert what == "bad.yaml"
    assert message.startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: ../../api/v1/namespaces\nkind: Secret\nmetadata: {name: a}",
        "apiVersion: 'v1?watch=true'\nkind: Secret\nmetadata: {name: a}",
        "apiVersion: apps/%zz\nkind: Secret\nmetadata: {name: a}",
        f"apiVersion: {'a' * 300}/v1\nkind: Secret\nmetadata: {{name: a}}",
        "apiVersion: v1\nkind: Secret/token\nmetadata: {name: a}",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: ..}",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: ../b}",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {'a' * 300}}}",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: ../b}",
    ],
)
async def test_what_can_be_no_path_of_the_api_server_fails_its_file_alone(text):
    found = await parsed({"bad.yaml": text, "good.yaml": GOOD})
    assert [one.file for one in found.manifests] == ["good.yaml"]
    assert [one.what for one in found.failures] == ["bad.yaml"]
    assert found.failures[0].message.endswith("is none")


@pytest.mark.parametrize("name", ["system:shop:reader", "web.shop.qa", "v1beta1.metrics.k8s.io"])
async def test_names_that_kinds_allow_are_read(name):
    text = f"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: '{name}'}}"
    assert [one.name for one in (await parsed({"a.yaml": text})).manifests] == [name]


def repeated(times: int, length: int = 300_000) -> str:
    """A text that aliases repeat."""
    return f"{GOOD}x: &x {'x' * length}\ny: [{', '.join(['*x'] * times)}]\n"


async def test_a_text_that_aliases_repeat_takes_no_memory():
    found = await parsed({"a.yaml": repeated(300), "z.yaml": GOOD})
    assert [one.file for one in found.manifests] == ["z.yaml"]
    assert found.failures[0].message.startswith("has more values, or deeper ones")


async def test_many_files_whose_texts_aliases_repeat_have_a_bound_together(monkeypatch):
    monkeypatch.setattr(parsing, "MOST_BYTES", 4 << 20)
    found = await parsed({f"{number}.yaml": repeated(10) for number in range(4)})
    assert [one.file for one in found.manifests] == ["0.yaml"]
    assert {one.message for one in found.failures} == {parsing.TOO_MUCH_IN_ALL}


async def test_many_values_have_a_bound_together(monkeypatch):
    """An empty list is two characters of a file, and 64 bytes of memory."""
    monkeypatch.setattr(parsing, "MOST_VALUES", 20)
    found = await parsed({f"{number}.yaml": f"{GOOD}x: [[], [], []]\n" for number in range(3)})
    assert [one.file for one in found.manifests] == ["0.yaml"]
    assert [one.message for one in found.failures] == [parsing.TOO_MUCH_IN_ALL] * 2
