"""One place says what was not run on a real Grafana. It names all of it, and the pages about Grafana lead there."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
HEAD = "What was not run on a real Grafana"
SECTION = (CHECKOUT / "controller/docs/grafana.md").read_text().partition(f"## {HEAD}\n")[2]
ANCHOR = HEAD.lower().replace(" ", "-")
OTHERS = {"/api/v1/query": "Prometheus", "/api/v2/write": "InfluxDB"}
CALLED = {
    path
    for module in (CHECKOUT / "controller").rglob("*.py")
    for path in re.findall(r'"(/api/[\w/]+)"', module.read_text())
    if path not in OTHERS
}


@pytest.mark.parametrize("path", sorted(CALLED))
def test_each_path_of_its_api_that_is_called_is_named(path):
    assert f"{path}`" in SECTION


def test_queries_alerts_and_annotations_are_what_is_called():
    assert len(CALLED) == 3


@pytest.mark.parametrize("file", sorted((CHECKOUT / "gitops/grafana").glob("[!k]*.yaml")), ids=lambda file: file.stem)
def test_each_file_that_it_loads_is_named(file):
    assert f"`{file.relative_to(CHECKOUT)}`" in SECTION


def test_the_webhook_that_it_sends_is_named():
    assert "[webhook](alerts.md)" in SECTION


@pytest.mark.parametrize("page", ["README.md", "controller/docs/alerts.md", "controller/docs/dashboards.md"])
def test_the_pages_about_it_lead_there(page):
    assert f"grafana.md#{ANCHOR})" in (CHECKOUT / page).read_text()
