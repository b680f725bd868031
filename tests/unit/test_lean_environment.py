"""`hack/demo` and `hack/cluster` run without what only tests and checks need."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LIBRARY = CHECKOUT / "hack" / "lib.sh"
OWN = {"controller", "crds", "hack", "workloads"}


def lean() -> set[str]:
    """The distributions that `run_lean` names, without those that these depend on."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    (line,) = re.findall(r"^run_lean\(\) \{(.*)\}$", LIBRARY.read_text(), re.MULTILINE)
    assert "--no-dev" in line
    wanted = [*project["project"]["dependencies"]]
    for group in re.findall(r"--group (\S+)", line):
        wanted += project["dependency-groups"][group]
    return {re.split(r"[^A-Za-z0-9._-]", one)[0] for one in wanted}


def imported() -> set[str]:
    """What the demo, the cluster and what they install import of others'."""
    files = [*(CHECKOUT / "hack").glob("*.py"), *(CHECKOUT / "hack/node").rglob("*.py")]
    files += (CHECKOUT / "hack/demonstration").rglob("*.py")
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OWN


def test_all_that_the_demo_imports_is_installed_for_it():
    owners = packages_distributions()
    assert {"httpx", "rich", "yaml"} <= imported()
    assert {owners[name][0].lower() for name in imported()} <= lean()


def test_both_run_in_it():
    for script in ("demo", "cluster"):
        assert "run_lean python" in (CHECKOUT / "hack" / script).read_text()
