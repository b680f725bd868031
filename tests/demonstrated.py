"""A repository of a demo, with a version that is to be rolled back."""

from dataclasses import replace

import yaml

from controller.git.manifests import Identity, find, revisions
from controller.git.rollback import Rollback
from hack.demonstration.repository import Repository
from tests.unit.git.story import ORDER


def released(repository: Repository) -> tuple[str, Rollback]:
    """Versions 1 to 3 are pushed. The manifest of version 2, and what takes version 3 back."""
    metadata = yaml.safe_load(repository.manifest.read_text())["metadata"]
    identity = Identity("cluster-1", metadata["namespace"], metadata["name"])
    repository.commit("version 1", VERSION="1")
    repository.commit("version 2", VERSION="2")
    good, stable = repository.manifest.read_text(), _wanted_by(repository, identity)
    repository.commit("version 3", VERSION="3", ERROR_RATE="0.2")
    rejected = _wanted_by(repository, identity)
    return good, replace(ORDER, identity=identity, rejected=rejected, stable=stable, path=repository.path)


def _wanted_by(repository: Repository, identity: Identity) -> str:
    texts = {file.name: file.read_text() for file in repository.manifest.parent.glob("*.yaml")}
    found = find(texts, identity)
    assert found is not None
    return max(revisions(found, identity))
