"""What a kustomization of a followed repository makes of its files, object by object."""

from __future__ import annotations

import posixpath
import re

from controller.api.text import one_line
from controller.git import kustomize
from controller.git.kustomize import Bounds, CannotBuildError
from controller.git.manifests import KUSTOMIZATIONS
from controller.git.order import NothingError
from controller.git.remote import RefusedError
from controller.git.repository import Repository

_BOUNDS = Bounds(folders=200, files=5_000, seconds=60.0, memory=384 << 20, output=32 << 20)
_MOST_SAID = 400


async def build(repository: Repository, commit: str, path: str) -> dict[str, str]:
    """Each object as YAML, under a name for people. Raises GitError, RefusedError, OSError."""
    try:
        folder = await kustomize.gather(repository, commit, path, _BOUNDS)
        output = await kustomize.build(folder.texts, path, _BOUNDS)
    except CannotBuildError as error:
        where = path or "the repository"
        raise RefusedError(
            f"{where} cannot be built: {one_line(error.said.strip() or str(error), _MOST_SAID)}"
        ) from error
    except NothingError as error:
        raise RefusedError(f"{path or 'the repository'} cannot be built: {error}") from error
    name = posixpath.join(path, KUSTOMIZATIONS[0])
    parts = [part for part in re.split(r"^---\n", output, flags=re.MULTILINE) if part.strip()]
    return {f"{name} (object {number})": part for number, part in enumerate(parts, 1)}
