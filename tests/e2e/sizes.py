"""What a Release's versions were scaled to, and by whom."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from controller.api.names import RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import DEPLOYMENTS
from tests.e2e.shop import Shop

_EACH_S = 0.2


@dataclass
class Sizes:
    """Pods that are asked for, each time that it has changed, the oldest first."""

    of_release: list[int] = field(default_factory=list)
    of_versions: dict[str, list[int]] = field(default_factory=dict)
    scaled_by: dict[str, set[str]] = field(default_factory=dict)
    """Who has written the size of a version."""

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, shop: Shop) -> AsyncIterator["Sizes"]:
        sizes = cls()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(sizes._watch(shop))
            yield sizes
            watching.cancel()

    async def _watch(self, shop: Shop) -> None:
        while True:
            _note(self.of_release, (await shop.release())["spec"]["replicas"])
            for item in await shop.kube.list(DEPLOYMENTS, shop.namespace, labels=f"{RELEASE_LABEL}={shop.name}"):
                revision = item["metadata"]["labels"][REVISION_LABEL]
                _note(self.of_versions.setdefault(revision, []), item["spec"]["replicas"])
                self.scaled_by.setdefault(revision, set()).update(
                    entry["manager"]
                    for entry in item["metadata"].get("managedFields", ())
                    if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
                )
            await asyncio.sleep(_EACH_S)


def _note(sizes: list[int], size: int) -> None:
    if sizes[-1:] != [size]:
        sizes.append(size)
