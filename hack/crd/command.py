"""`hack/gen-crd` writes what is generated; `hack/gen-crd --check` says whether it is what would be written.

That is: crds/*.yaml, the operator's roles, the reference page, what kustomize has to know, the list of modules that
mypy checks, the dashboards, and what the Helm chart has in common with gitops/install.
"""

import argparse
import sys
from pathlib import Path

from controller.api.choice import DeclarationError
from controller.registry import PluginError
from hack.boards import rendered
from hack.crd import chart, generate, kustomize, reference, roles, typed

_CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/gen-crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where something would change")
    check = parser.parse_args().check
    try:
        crds = generate.render()
        others = render() | chart.render(crds, roles.render())
    except (generate.GenerateError, roles.RolesError, DeclarationError, PluginError) as error:
        print(f"gen-crd: {error}", file=sys.stderr)
        return 1
    stale = [f"crds/{name}" for name in generate.differing(crds)]
    stale += [path for path, text in others.items() if _kept(path) != text]
    if check:
        if stale:
            said = f"gen-crd: not as generated: {', '.join(stale)}; run hack/gen-crd and commit the result."
            print(said, file=sys.stderr)
        return 1 if stale else 0
    generate.write(crds)
    for path, text in others.items():
        (_CHECKOUT / path).write_text(text)
    print("\n".join(stale) or "Everything generated was up to date.")
    return 0


def render() -> dict[str, str]:
    """What is generated besides the CRDs, by its path."""
    return {
        "gitops/install/roles-operator.yaml": roles.render(),
        "controller/docs/reference.md": reference.render(),
        kustomize.PATH: kustomize.render(),
        "tests/unit/contract/modules.py": typed.render(),
        **rendered.render(),
    }


def _kept(path: str) -> str:
    file = _CHECKOUT / path
    return file.read_text() if file.exists() else ""
