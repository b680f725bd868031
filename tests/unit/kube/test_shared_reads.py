"""What many want to read at one moment is read once."""

import asyncio
from typing import Any

import pytest

from controller.api.resources import METRIC_TEMPLATES, SECRETS, Resource
from controller.kube import shared_reads
from controller.kube.client import UnavailableError
from controller.kube.shared_reads import SharedReads


class Objects:
    def __init__(self) -> None:
        self.reads: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.out = False

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        self.reads.append(f"{resource.plural}/{namespace}/{name}")
        await self.may_answer.wait()
        if self.out:
            raise UnavailableError(503, "Unavailable", "out")
        return {"number": len(self.reads)} if name != "none" else None


@pytest.fixture
def objects() -> Objects:
    return Objects()


async def test_many_read_once(objects: Objects):
    reads = SharedReads(objects)
    found = await asyncio.gather(*(reads.find(SECRETS, "a", "b") for _ in range(10)))
    assert found == [{"number": 1}] * 10


@pytest.mark.parametrize("other", [(METRIC_TEMPLATES, "a", "b"), (SECRETS, "b", "b"), (SECRETS, "a", "c")])
async def test_another_object_is_read_by_itself(objects: Objects, other: tuple[Resource, str, str]):
    reads = SharedReads(objects)
    await asyncio.gather(reads.find(SECRETS, "a", "b"), reads.find(*other))
    assert len(objects.reads) == 2


async def test_that_there_is_none_is_an_answer_too(objects: Objects):
    reads = SharedReads(objects)
    assert await asyncio.gather(*(reads.find(SECRETS, "a", "none") for _ in range(3))) == [None] * 3
    assert len(objects.reads) == 1


async def test_it_is_kept_for_a_moment_only(objects: Objects, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_reads, "KEPT_S", 0.05)
    reads = SharedReads(objects)
    assert await reads.find(SECRETS, "a", "b") == {"number": 1}
    await asyncio.sleep(0.1)
    assert await reads.find(SECRETS, "a", "b") == {"number": 2}


async def test_what_was_written_is_read_at_once(objects: Objects):
    reads = SharedReads(objects)
    await reads.find(SECRETS, "a", "b")
    reads.forget()
    assert await reads.find(SECRETS, "a", "b") == {"number": 2}


async def test_an_answer_that_was_forgotten_while_it_was_read_is_not_kept(objects: Objects):
    reads = SharedReads(objects)
    objects.may_answer.clear()
    before = asyncio.create_task(reads.find(SECRETS, "a", "b"))
    await asyncio.sleep(0)
    reads.forget()
    after = asyncio.create_task(reads.find(SECRETS, "a", "b"))
    await asyncio.sleep(0)
    objects.may_answer.set()
    await asyncio.gather(before, after)
    assert len(objects.reads) == 2


async def test_an_error_reaches_those_who_waited_and_is_not_kept(objects: Objects):
    reads = SharedReads(objects)
    objects.out = True
    found = await asyncio.gather(*(reads.find(SECRETS, "a", "b") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [UnavailableError] * 3
    objects.out = False
    assert await reads.find(SECRETS, "a", "b") == {"number": 2}


async def test_who_gives_up_takes_nobody_along(objects: Objects):
    reads = SharedReads(objects)
    objects.may_answer.clear()
    waiting = [asyncio.create_task(reads.find(SECRETS, "a", "b")) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    objects.may_answer.set()
    assert await waiting[1] == {"number": 1}
