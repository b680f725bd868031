"""What all stories have: versions of one release, committed one after the other, and work that goes on meanwhile."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Generic, Self, TypedDict, TypeVar

from controller.kube.client import KubeClient
from hack.demonstration.git_server import serving
from hack.demonstration.preview import Tester
from hack.demonstration.releasing import Named, Releasing, Say, Version
from hack.demonstration.repository import Host, Repository
from hack.demonstration.telling import Summary
from hack.node.cluster import Cluster


class InGit(TypedDict):
    history: tuple[str, ...]
    rollback: str


S_co = TypeVar("S_co", bound=Summary, covariant=True)


class Story(ABC, Generic[S_co]):
    release: ClassVar[Named]
    folder: ClassVar[Path]
    """The kustomization that the repository begins with."""
    stepwise: ClassVar[tuple[Version, ...]]
    switched: ClassVar[tuple[Version, ...]]
    """With `blueGreen`, by the patch in folder `blue-green`."""

    def __init__(
        self, cluster: Cluster, repository: Repository, say: Say, versions: Sequence[Version] | None = None
    ) -> None:
        """`versions`: without them, those that are released step by step."""
        self._cluster = cluster
        self._repository = repository
        self._versions = self.stepwise if versions is None else versions
        self._releasing = Releasing(cluster, repository, self.release, say, self._tester())

    @classmethod
    def of_steps(cls, cluster: Cluster, directory: Path, say: Say, *, host: Host = serving) -> Self:
        """`directory` is for the git repository."""
        return cls(cluster, Repository(directory, cls.folder, host=host), say)

    @classmethod
    def of_switches(cls, cluster: Cluster, directory: Path, say: Say, *, host: Host = serving) -> Self:
        """With `blueGreen`. `directory` is for the git repository."""
        patch = cls.folder / "blue-green/strategy.yaml"
        return cls(cluster, Repository(directory, cls.folder, patch, host=host), say, cls.switched)

    async def tell(self) -> S_co:
        kube = await KubeClient.connect(str(self._cluster.kubeconfig))
        try:
            with self._repository.hosted():
                return await self._tell(kube)
        finally:
            await kube.close()

    @abstractmethod
    async def _tell(self, kube: KubeClient) -> S_co: ...

    def _in_git(self) -> InGit:
        """What is to be seen there in the end."""
        return {"history": self._repository.history(), "rollback": self._repository.rollback()}

    def _tester(self) -> Tester | None:
        """Who tries a version that has no work yet and waits for an approval."""
        return None
