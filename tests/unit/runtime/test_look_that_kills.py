"""A look that ends the operator that judges it is named by the next one, and neither asked for nor judged again."""

import asyncio

import pytest

from controller.analysis.large_looks import LARGE_UNITS
from controller.api.resources import ANALYSIS_RUNS, RELEASES
from controller.ports import Row, Samples
from controller.stats.judge import Judge
from tests.unit.runtime.fake_cluster import Counting
from tests.unit.runtime.fault_world import World, release, run

FACTOR = 10**5
"""Some 400 units a look become 4 * 10^7."""
STEPS = ({"weight": 20, "analyze": {"atLeast": "60s", "atMost": "10m"}},)


class Huge:
    """Metrics whose counts are multiplied while they are, and a process that does not survive judging them."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.factor = 1
        self.asked: list[tuple[float, float]] = []
        """Windows for which the answer was huge."""
        self.deaths = 0
        self.written = False
        """Whether the record had it when a process died of it."""
        self.kills = True
        query, add = Counting.query, Judge.add

        async def huge(counting, text, window):
            answer = await query(counting, text, window)
            if self.factor == 1 or not isinstance(answer, Samples):
                return answer
            self.asked.append((window.start.timestamp(), window.end.timestamp()))
            return Samples(tuple(Row(row.revision, row.bad, row.total * self.factor) for row in answer.rows))

        def kill(judge, look):
            if self.kills and any(counts.stable_total > LARGE_UNITS for counts in look.rows.values()):
                self.deaths += 1
                self.written = "judging" in self.record()["status"]
                operator = world.operators[-1]
                operator.may_end = True
                operator.task.cancel()
                raise asyncio.CancelledError
            add(judge, look)

        patch.setattr(Counting, "query", huge)
        patch.setattr(Judge, "add", kill)

    async def under_analysis(self) -> None:
        world = self.world
        world.create(RELEASES, release("web", *STEPS, metrics=True))
        world.start()
        await world.until_phase("web", "Healthy")
        world.commit("web", 2)
        await self.looks(2)

    def record(self):
        """Nothing where there is none yet."""
        return next(iter(self.world.api.objects(ANALYSIS_RUNS.path())), {"status": {"looks": []}})

    async def looks(self, count: int) -> None:
        await self.world.until(lambda: len(self.record()["status"]["looks"]) >= count)

    async def killed(self) -> None:
        self.factor = FACTOR
        operator = self.world.operators[-1]
        await self.world.until(operator.task.done, seconds=60)
        assert self.deaths == 1


def test_a_look_that_ends_the_operator_is_named_by_the_next_one_and_not_judged_again(monkeypatch):
    async def story(world: World) -> None:
        shop = Huge(world, monkeypatch)
        await shop.under_analysis()
        await shop.killed()
        assert shop.written, "a look is written down before it is judged"
        deadly = shop.asked[-1]
        shop.asked.clear()
        world.start("b")
        await world.until_reason("web", "LookLeftOut", seconds=60)
        status = world.status("web")
        assert "the operator ended while look " in status["message"]
        assert "Metric errors has " in status["message"]
        await asyncio.sleep(60)
        assert shop.deaths == 1, "looks as large are not judged either"
        assert world.status("web")["reason"] == "LookLeftOut"
        assert not [asked for asked in shop.asked if asked[0] < deadly[1]], "it is not asked for again"
        shop.factor = 1
        await world.until_phase("web", "Healthy", version=2)
        record = shop.record()["status"]
        assert "judging" not in record
        (left_out,) = [look for look in record["looks"] if "leftOut" in look]
        assert left_out["rows"] == {}
        assert max(left_out["leftOut"]["rows"]["errors"]) > LARGE_UNITS

    run(story)


def test_a_third_operator_knows_of_it_too(monkeypatch):
    async def story(world: World) -> None:
        shop = Huge(world, monkeypatch)
        await shop.under_analysis()
        await shop.killed()
        shop.factor = 1
        second = world.start("b")
        await world.until(lambda: any("leftOut" in look for look in shop.record()["status"]["looks"]))
        second.may_end = True
        await second.stop()
        world.start("c")
        await world.until(lambda: "the operator ended while look " in world.status("web").get("message", ""))
        shop.factor = FACTOR
        await world.until_reason("web", "LookLeftOut", seconds=60)
        assert shop.deaths == 1

    run(story)


def test_large_looks_that_end_nobody_are_judged_and_an_operator_that_is_replaced_leaves_none_out(monkeypatch):
    async def story(world: World) -> None:
        shop = Huge(world, monkeypatch)
        shop.kills = False
        await shop.under_analysis()
        shop.factor = FACTOR
        await shop.looks(6)
        first = world.operators[-1]
        first.may_end = True
        await first.stop()
        assert "judging" not in shop.record()["status"], "a judgement is written at once"
        world.start("b")
        await world.until_phase("web", "Healthy", version=2)
        looks = shop.record()["status"]["looks"]
        assert not [look for look in looks if "leftOut" in look]
        assert [look["n"] for look in looks] == list(range(1, len(looks) + 1))

    run(story)


@pytest.mark.parametrize("status", [409, 500])
def test_a_mark_that_cannot_be_written_kills_nobody_and_is_no_death(monkeypatch, status):
    async def story(world: World) -> None:
        shop = Huge(world, monkeypatch)
        shop.kills = False
        await shop.under_analysis()
        refused = 0
        handle = world.api.handle

        def refusing(verb, path, query, body):
            nonlocal refused
            answer = handle(verb, path, query, body)
            if verb == "PUT" and "analysisruns" in path and "judging" in (body or {}).get("status", {}) and refused < 2:
                refused += 1
                return type(answer)(status, {"message": "lost on the way"})
            return answer

        monkeypatch.setattr(world.api, "handle", refusing)
        shop.factor = FACTOR
        await world.until(lambda: refused == 2, seconds=60)
        await shop.looks(8)
        assert not [look for look in shop.record()["status"]["looks"] if "leftOut" in look]

    run(story)


def test_looks_of_ordinary_size_are_not_written_ahead(monkeypatch):
    async def story(world: World) -> None:
        shop = Huge(world, monkeypatch)
        writes = []
        handle = world.api.handle

        def counting(verb, path, query, body):
            if verb == "PUT" and "analysisruns" in path:
                writes.append("judging" in body["status"])
            return handle(verb, path, query, body)

        monkeypatch.setattr(world.api, "handle", counting)
        await shop.under_analysis()
        await shop.looks(9)
        assert not any(writes)
        assert len(writes) <= 5, "one every 15 s, and where the weight changes"

    run(story)
