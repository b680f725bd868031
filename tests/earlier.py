"""The release before this one, as it was: its CRDs, and where its operator runs from (see integration/upgrade)."""

import functools
import shutil
import tarfile
from pathlib import Path
from typing import Any

import yaml

VERSION = "0.1.0"
_ARCHIVE = Path(__file__).parent / "integration" / "upgrade" / f"pointsman-{VERSION}.tar.xz"


@functools.cache
def definitions() -> list[dict[str, Any]]:
    with tarfile.open(_ARCHIVE) as archive:
        files = [name for name in archive.getnames() if Path(name).parent == Path("crds") and name.endswith(".yaml")]
        return [yaml.load(_text(archive, name), Loader=yaml.CSafeLoader) for name in sorted(files)]


def template(name: str) -> dict[str, Any]:
    """A MetricTemplate of its library."""
    with tarfile.open(_ARCHIVE) as archive:
        found: dict[str, Any] = yaml.load(_text(archive, f"gitops/library/{name}.yaml"), Loader=yaml.CSafeLoader)
    return found


def unpack(directory: Path) -> Path:
    """For PYTHONPATH."""
    shutil.unpack_archive(_ARCHIVE, directory)
    return directory


def _text(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
