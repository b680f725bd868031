"""The pages `controller/docs/adding-a-*.md` can be followed: the files that they show are run as they stand there."""

import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from controller import registry
from hack.crd import generate
from tests.unit.contract.rules import broken
from tests.unit.rollout.world import World

PAGES = sorted((Path(__file__).parents[2] / "controller" / "docs").glob("adding-a-*.md"))
FILE = re.compile(r"^`(?P<path>[\w/]+)\.py`:\n\n```python\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def imported(path, text, monkeypatch):
    module = ModuleType(path.replace("/", "."))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(text, f"{path}.py", "exec"), vars(module))  # noqa: S102 - what is tried is what a reader would copy
    return module


@pytest.fixture
def forget():
    registry.forget()
    yield
    registry.forget()


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, monkeypatch, tmp_path):
    files = FILE.findall(page.read_text())
    (path, text), *tests = files
    added = imported(path, text, monkeypatch)
    package = added.__name__.rpartition(".")[0]
    (folder,) = [folder for folder, name in registry.FOLDERS.items() if name == package]

    def found(group):
        return [SimpleNamespace(load=lambda: added)] if group == f"pointsman.{folder}" else []

    monkeypatch.setattr(registry, "entry_points", found)
    assert registry.modules(folder)[added.KIND] is added
    assert broken(folder, added) == []
    assert any(f"{added.KIND}:" in text for text in generate.render().values()), "it is in a CRD"
    tried = 0
    for test_path, test_text in tests:
        assert test_path.startswith("tests/unit/")
        for name, test in vars(imported(test_path, test_text, monkeypatch)).items():
            if name.startswith("test_"):
                fixtures = {"world": World(), "monkeypatch": monkeypatch, "tmp_path": tmp_path}
                ran = test(**{name: fixtures[name] for name in inspect.signature(test).parameters})
                if inspect.iscoroutine(ran):
                    asyncio.run(ran)
                tried += 1
    assert tried
