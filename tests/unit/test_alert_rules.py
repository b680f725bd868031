"""The alert rules: the same in each language, and each links a runbook that says what it has to."""

import re
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
RUNBOOKS = sorted((CHECKOUT / "controller/docs/runbooks").glob("*.md"))


def of_prometheus() -> set[str]:
    groups = yaml.safe_load((CHECKOUT / "gitops/alerts/prometheus.yaml").read_text())["groups"]
    return {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}


def of_grafana() -> set[str]:
    groups = yaml.safe_load((CHECKOUT / "gitops/grafana/alerts.yaml").read_text())["groups"]
    return {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}


def of_kapacitor() -> set[str]:
    linked = set()
    for task in (CHECKOUT / "gitops/kapacitor/tasks").iterdir():
        text = task.read_text()
        (folder,) = re.findall(r"^var runbooks = '(.+)'$", text, re.MULTILINE)
        (page,) = re.findall(r"Runbook: ' \+ runbooks \+ '/(\S+?\.md)", text)
        linked.add(f"{folder}/{page}")
    return linked


@pytest.mark.parametrize("linked", [of_prometheus, of_grafana, of_kapacitor])
def test_each_rule_has_its_runbook_and_each_runbook_a_rule(linked):
    assert linked() == {str(page.relative_to(CHECKOUT)) for page in RUNBOOKS}


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_what_to_type_first_and_how_to_be_safe(page):
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "What it means",
        "First command",
        "Being safe without the operator",
    ]
    first = text.partition("## First command")[2].partition("## ")[0]
    assert re.search(r"^```\n(pointsman|kubectl) ", first, re.MULTILINE)
    assert re.search(r"\*\*Alert\*\* `Pointsman\w+`", text)
