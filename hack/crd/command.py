"""`hack/gen-crd` writes crds/*.yaml; `hack/gen-crd --check` says whether they are what it would write."""

import argparse
import sys

from controller.api.choice import DeclarationError
from controller.registry import PluginError
from hack.crd import generate


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/gen-crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where something would change")
    check = parser.parse_args().check
    try:
        files = generate.render()
    except (generate.GenerateError, DeclarationError, PluginError) as error:
        print(f"gen-crd: {error}", file=sys.stderr)
        return 1
    if check:
        stale = generate.differing(files)
        if stale:
            names = ", ".join(f"crds/{name}" for name in stale)
            print(f"gen-crd: not as generated: {names}; run hack/gen-crd and commit the result.", file=sys.stderr)
        return 1 if stale else 0
    changed = generate.write(files)
    for name in changed:
        print(f"crds/{name}")
    if not changed:
        print("The CRDs were up to date.")
    return 0
