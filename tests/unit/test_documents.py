"""What the documents say is there: links, manifests, commands, reasons."""

import re
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup as Group
from typer.main import get_command
from typer.testing import CliRunner

from controller.api.reasons import Reason
from controller.cli.main import app

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *CHECKOUT.glob("*.md"),
        *(CHECKOUT / "controller").rglob("*.md"),
        *(CHECKOUT / "workloads").glob("*.md"),
        CHECKOUT / "workloads/common/SHARE.md",
        CHECKOUT / "gitops/steps/README.md",
    ]
)
LINK = re.compile(r"\[[^\]]+\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|`|kubectl )pointsman ([a-z]+)", re.MULTILINE)
PATH = re.compile(r"`((?:controller|crds|gitops|hack|tests|workloads)/[\w./-]*[\w/-])`")


def name(page):
    return str(page.relative_to(CHECKOUT))


def anchors(page):
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def commands():
    group = get_command(app)
    assert isinstance(group, Group)
    return set(group.commands)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page):
    text = page.read_text()
    to_write = re.findall(r"^`([\w/.]+)`:\n\n```python", text, re.MULTILINE)
    assert [path for path in PATH.findall(text) if path not in to_write and not (CHECKOUT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_manifests_are_valid(page):
    blocks = BLOCK.findall(page.read_text())
    whole = [text for text in blocks if text.startswith("apiVersion: pointsman.dev/")]
    if whole:
        ran = CliRunner().invoke(app, ["validate", "-"], input="---\n".join(whole))
        assert ran.exit_code == 0, ran.output
    for text in blocks:
        yaml.safe_load(text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page):
    assert set(COMMAND.findall(page.read_text())) <= commands()


def test_the_commands_are_documented():
    text = (CHECKOUT / "controller/docs/releasing.md").read_text()
    assert [command for command in sorted(commands()) if not re.search(rf"`(?:pointsman )?{command}\b", text)] == []


def test_every_reason_has_an_entry_in_the_runbook():
    text = (CHECKOUT / "controller/docs/operating.md").read_text()
    assert [reason for reason in Reason if f"`{reason}`" not in text] == []


READMES = sorted([CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "workloads").rglob("README.md")])
PROGRAM = re.compile(r"python -m ((?:hack|workloads)[\w.]*)")


@pytest.mark.parametrize("page", READMES, ids=name)
def test_commands_work_in_a_fresh_clone(page):
    """hack/run brings what they need; whoever has just cloned has no `uv`."""
    text = page.read_text()
    assert not re.search(r"^(?:[A-Z_]+=\S+ )*(?:uv|python3?) ", text, re.MULTILINE)
    for program in PROGRAM.findall(text):
        path = CHECKOUT / program.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), program
    blocks = re.split("^```", text, flags=re.MULTILINE)[1::2]
    assert all("kill %1" in block for block in blocks if re.search(r" &$", block, re.MULTILINE))
