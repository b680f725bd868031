"""`pointsman validate` evaluates the CRDs' rules as the API server does: same verdict, same field, same sentence."""

import pytest

from controller.cli import _cel, _schema, _single
from controller.kube.client import InvalidError
from tests import golden
from tests.integration.test_crds import _try


def messages(schema):
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        for below in schema.values():
            yield from messages(below)


def content(raw):
    return {key: value for key, value in raw.items() if key != "metadata"}


@pytest.mark.parametrize("case", golden.invalid(), ids=lambda case: case.file.stem)
async def test_the_rules_that_do_not_hold_are_the_same(kube, case):
    schema = _single.schemas()[case.raw["kind"]]
    wrong = list(_schema.problems(schema, content(case.raw), ""))
    broken = [(one.path, one.problem) for one in _cel.broken_rules(schema, case.raw, wrong)]
    with pytest.raises(InvalidError) as refused:
        await _try(kube, case.raw)
    said = str(refused.value)
    assert wrong or broken
    for path, message in broken:
        assert f"{path or '<nil>'}: Invalid value: " in said
        assert message in said
    if "some validation rules were not checked" not in said and not wrong:
        assert {one for one in messages(schema) if one in said} == {message for _, message in broken}
