"""Files of strangers become manifests, or a sentence, and nothing else."""

import pytest

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
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a b}", "has a Secret whose name is none"),
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
