"""A copy of this checkout in which a test does what a README says."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]


def checkout_copy(folder: Path) -> Mapping[str, str]:
    """What `hack/run` and the workloads need; answers variables by which it uses the environment of the tests."""
    for part in ("workloads", "hack"):
        shutil.copytree(_HERE / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "uv.lock", "README.md"):
        shutil.copy(_HERE / file, folder)
    return {"UV_NO_SYNC": "1", "UV_PROJECT_ENVIRONMENT": sys.prefix}
