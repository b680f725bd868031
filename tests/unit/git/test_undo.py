"""What one commit changed in a document is taken back; each other byte stays."""

import textwrap

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.git.documents import UnreadableError, documents
from controller.git.editing import LayoutError
from controller.git.undo import MovedOnError, undo

TEMPLATE = [("spec", "template"), ("spec", "service", "ports")]
BEFORE = textwrap.dedent(
    """\
    # ours
    kind: Release
    metadata: {name: web}  # the shop
    spec:
      replicas: 3   # three
      template:
        spec:
          # the app
          containers:
          - name: app
            image: shop/web:1   # by hand
            env:
            - {name: MODE, value: fast}
            args:
            - --level
            - "2"
          # keeps the time
          - name: clock
            image: clock:7
      service:
        ports: [{port: 80}]
    ---
    kind: Other
    """
)


def undone(before, bad, now):
    return undo(documents(before)[0], documents(bad)[0], documents(now)[0], TEMPLATE)


def changed(text, *pairs):
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


IMAGE = ("shop/web:1 ", "shop/web:2 ")


@pytest.mark.parametrize(
    "pairs",
    [
        [IMAGE],
        [IMAGE, ("clock:7", "clock:8")],
        [("value: fast", "value: slow, more: x")],
        [('"2"', "'3'")],
        [("    - --level\n", "    - --level\n        - --more\n")],
        [("      # keeps the time\n      - name: clock\n        image: clock:7\n", "")],
        [("        image: clock:7\n", "        image: clock:7\n        tty: true\n")],
        [("        env:\n        - {name: MODE, value: fast}\n", "")],
        [("[{port: 80}]", "[{port: 8080}]")],
        [
            (
                "- {name: MODE, value: fast}",
                "- name: MODE\n          value: fast\n        - name: NEW\n          value: x",
            )
        ],
    ],
    ids=range(10),
)
def test_what_the_bad_commit_changed_is_as_it_was_before(pairs):
    text = undone(BEFORE, changed(BEFORE, *pairs), changed(BEFORE, *pairs))
    assert list(yaml.safe_load_all(text)) == list(yaml.safe_load_all(BEFORE))
    assert "# ours" in text
    assert "# three" in text
    if "# keeps" not in pairs[0][0]:
        assert text == BEFORE or "{name: MODE" in pairs[0][0]


def test_good_edits_that_came_later_stay():
    bad = changed(BEFORE, IMAGE)
    now = changed(
        bad, ("replicas: 3   # three", "replicas: 5   # more"), ("clock:7", "clock:9"), ("# ours", "# all of ours")
    )
    assert undone(BEFORE, bad, now) == changed(now, ("shop/web:2 ", "shop/web:1 "))


def test_what_the_bad_commit_changed_beside_the_template_stays():
    bad = changed(BEFORE, IMAGE, ("replicas: 3", "replicas: 4"), ("kind: Other", "kind: Another"))
    assert undone(BEFORE, bad, bad) == changed(bad, ("shop/web:2 ", "shop/web:1 "))


def test_what_a_person_has_changed_again_is_not_touched():
    bad = changed(BEFORE, IMAGE)
    with pytest.raises(MovedOnError):
        undone(BEFORE, bad, changed(BEFORE, ("shop/web:1 ", "shop/web:3 ")))


def test_what_is_back_already_changes_nothing():
    assert undone(BEFORE, changed(BEFORE, IMAGE), BEFORE) == BEFORE


def test_the_document_may_have_moved_within_its_file_and_changed_its_indentation():
    bad = changed(BEFORE, IMAGE)
    now = "kind: First\n---\n" + textwrap.dedent(bad).replace("\n  ", "\n    ").replace("\n    -", "\n    -")
    found = next(one for one in documents(now) if one.word("kind") == "Release")
    text = undo(documents(BEFORE)[0], documents(bad)[0], found, TEMPLATE)
    assert text == now.replace("shop/web:2", "shop/web:1")


def test_only_the_entries_of_this_release_are_undone():
    before = "images:\n- name: web\n  newTag: '1'\n- name: api\n  newTag: '1'\n"
    bad = before.replace("'1'", "'2'")
    text = undo(documents(before)[0], documents(bad)[0], documents(bad)[0], [("images",)], only={"web"})
    assert text == before.replace("api\n  newTag: '1'", "api\n  newTag: '2'")


def test_a_line_that_only_repeats_what_another_says_is_refused():
    with pytest.raises(UnreadableError, match="alias"):
        documents("a: &x [1]\nb: *x\n")


def test_a_bomb_of_brackets_is_refused():
    with pytest.raises(UnreadableError):
        documents("[" * 5_000)


SCALARS = st.sampled_from(
    ["1", "two", '"three: 3"', "'4'", "", "true", "five six", "|\n{0}seven\n{0}eight", "{{a: 1}}", "[x, y]"]
)


def written(value, indent):
    pad = " " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}{key}:{inner(one, indent)}" for key, one in value.items())
    return "".join(f"{pad}- name: {key}\n{written(one, indent + 2)}" for key, one in value)


def inner(one, indent):
    if isinstance(one, dict | list):
        return f"\n{written(one, indent + 2)}" if one else " {}\n"
    return f" {one.format(' ' * (indent + 4))}  # c\n" if "|" not in one else f" {one.format(' ' * (indent + 4))}\n"


TREES = st.recursive(
    SCALARS,
    lambda some: (
        st.dictionaries(st.sampled_from("abcdef"), some, min_size=1, max_size=4)
        | st.dictionaries(
            st.sampled_from("klmn"), st.dictionaries(st.sampled_from("abc"), some, max_size=3), min_size=1, max_size=3
        ).map(lambda found: list(found.items()))
    ),
    max_leaves=12,
)
ROOTS = st.dictionaries(st.sampled_from("abcdef"), TREES, min_size=1, max_size=4)


def file_of(template, beside="1"):
    head = f"# head\nkind: Release  # k\nspec:\n  replicas: {beside}  # r\n  template:\n"
    return f"{head}{written(template, 4)}  # tail\n  last: x\n---\nz: 1\n"


@settings(max_examples=150, deadline=None)
@given(ROOTS, ROOTS)
def test_an_undone_commit_leaves_the_bytes_from_before(before, bad):
    one, other = file_of(before), file_of(bad, "2")
    text = undone(one, other, other)
    [was, _], [found, rest] = (list(yaml.safe_load_all(it)) for it in (one, text))
    assert found["spec"]["template"] == was["spec"]["template"]
    assert found["spec"]["replicas"] == 2
    assert text.startswith("# head\nkind: Release  # k\nspec:\n  replicas: 2  # r\n  template:")
    assert text.endswith("  last: x\n---\nz: 1\n")
    assert rest == {"z": 1}


@settings(max_examples=150, deadline=None)
@given(ROOTS, ROOTS, ROOTS)
def test_whatever_else_was_changed_it_is_a_known_end(before, bad, now):
    try:
        text = undone(file_of(before), file_of(bad), file_of(now, "7"))
    except (MovedOnError, LayoutError):
        return
    [found, _] = yaml.safe_load_all(text)
    assert found["spec"]["replicas"] == 7
    [was, _] = yaml.safe_load_all(file_of(now, "7"))
    for key in set(before) & set(bad):
        if before[key] == bad[key]:
            assert found["spec"]["template"].get(key) == was["spec"]["template"].get(key)


@pytest.mark.parametrize("ends", [("\n", "\r\n"), ("\r\n", "\n"), ("\r\n", "\r\n")], ids=["to dos", "from dos", "dos"])
def test_a_file_keeps_the_line_ends_that_it_has_now(ends):
    bad = changed(BEFORE, IMAGE, ("        env:\n        - {name: MODE, value: fast}\n", ""))
    then, now = ends
    found = undone(BEFORE.replace("\n", then), bad.replace("\n", then), bad.replace("\n", now))
    assert found == BEFORE.replace("\n", now)
