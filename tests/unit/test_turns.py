"""A few places, for which groups take turns."""

import asyncio

import pytest

from controller.turns import Turns


class Door:
    """Who went through, in their order; the first keeps it shut until `open`."""

    def __init__(self, places: int = 1, of_one: int | None = None) -> None:
        self.turns, self.went, self.open = Turns(places, of_one=of_one), list[str](), asyncio.Event()

    async def go(self, who: str) -> None:
        async with self.turns.turn(who[0]):
            self.went.append(who)
            await self.open.wait()

    async def arrive(self, *names: str) -> dict[str, asyncio.Task[None]]:
        tasks = {name: asyncio.create_task(self.go(name)) for name in names}
        await asyncio.sleep(0)
        return tasks

    async def end(self, tasks: dict[str, asyncio.Task[None]]) -> list[str]:
        self.open.set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return self.went


async def test_one_that_came_late_waits_for_one_turn_of_each_other_group():
    door = Door()
    tasks = await door.arrive("a1", "a2", "a3", "a4", "b1", "c1", "b2")
    assert await door.end(tasks) == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_who_no_longer_waits_is_passed_over():
    door = Door()
    tasks = await door.arrive("a1", "b1", "b2", "c1", "c2")
    for name in ("b1", "c1", "c2"):
        tasks[name].cancel()
    assert await door.end(tasks) == ["a1", "b2"]
    assert await door.end(await door.arrive("d1")) == ["a1", "b2", "d1"]


async def test_a_turn_that_is_handed_to_one_who_is_cancelled_goes_on_to_the_next():
    door = Door()
    tasks = await door.arrive("a1", "b1", "c1")
    door.open.set()
    await asyncio.sleep(0)  # a1 leaves, and b1 has not begun
    tasks["b1"].cancel()
    assert await door.end(tasks) == ["a1", "c1"]


async def test_an_error_in_a_turn_frees_the_place():
    turns = Turns()
    with pytest.raises(KeyError):
        async with turns.turn("a"):
            raise KeyError
    async with asyncio.timeout(1), turns.turn("b"):
        pass


async def test_so_many_are_in_at_once_as_there_are_places():
    door = Door(2)
    tasks = await door.arrive("a1", "a2", "a3", "a4", "b1")
    assert door.went == ["a1", "a2"]
    assert await door.end(tasks) == ["a1", "a2", "a3", "b1", "a4"]
    assert await door.end(await door.arrive("c1", "c2")) == ["a1", "a2", "a3", "b1", "a4", "c1", "c2"]


async def test_one_group_never_has_all_places():
    door = Door(3, of_one=2)
    tasks = await door.arrive("a1", "a2", "a3", "b1", "b2")
    assert door.went == ["a1", "a2", "b1"]
    assert await door.end(tasks) == ["a1", "a2", "b1", "a3", "b2"]
    assert await door.end(await door.arrive("a4", "a5", "a6")) == ["a1", "a2", "b1", "a3", "b2", "a4", "a5", "a6"]
