"""Random lives of a release: whatever happens, in whatever order, and wherever the operator stops.

`rules.py` holds at every decision and after every action; `World.settle` holds that deciding again is a no-op and
that nothing spins; the end of each life holds that good versions come out and convicted ones stay away.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from controller.api import reach
from controller.rollout.bake import Bake
from controller.rollout.effect import Answered, Refused, Retrying
from controller.rollout.sizing import Sizing
from controller.rollout.step import Step
from controller.rollout.steps.header import Header
from controller.rollout.steps.job import Job
from controller.rollout.steps.mirror import Mirror
from controller.rollout.steps.webhook import Webhook
from tests.unit.rollout.cluster import CRASHING, HEALTHY, NO_IMAGE, NO_ROOM, UNREADY, Deployment
from tests.unit.rollout.language import (
    BY_PODS,
    BY_WEIGHT,
    PREVIEWED,
    Given,
    analyze,
    approve,
    blue_green,
    pause,
    release,
    weight,
)
from tests.unit.rollout.world import MISSING, UNKNOWN, World

REVISIONS = ("v1", "v2", "v3", "v4")
ACTIONS = ("approve", "approve", "abort", "skip", "promote", "pause", "resume", "retry", "rollback")
BEHAVIORS = (HEALTHY, HEALTHY, UNREADY, CRASHING, NO_ROOM, NO_IMAGE)

ANSWERS = (
    Answered({"result": "yes", "message": "", "job": "web-job-1", "state": "succeeded"}),
    Answered({"result": "wait", "message": "tests run", "job": "web-job-1", "state": "running"}),
    Answered({"result": "wait", "message": "cannot start: no image", "job": "web-job-1", "state": "blocked"}),
    Answered({"result": "no", "message": "3 tests failed", "job": "web-job-1", "state": "failed"}),
    Retrying("gate.qa answered 503", 1, 0.0),
    Refused("its payload is too large"),
)

SMOKE = Job({"spec": {"containers": [{"name": "smoke", "image": "smoke:1"}]}})
STEPS: tuple[list[Step], ...] = (
    [],
    [weight(5, analyze("10s", "30s")), weight(50, analyze("10s", "30s"))],
    [weight(25), approve(), weight(25, analyze("10s", "20s")), weight(100, analyze("5s", "10s"))],
    [approve(), weight(10, analyze("10s", "20s")), pause("20s"), weight(60), pause("10s")],
    [weight(25, analyze("10s", "30s")), Bake(weight=95, seconds=60)],
    [weight(10), Webhook("http://gate.qa"), weight(40), Webhook("http://gate.qa", at_most=60), pause("10s")],
    [SMOKE, weight(10, analyze("10s", "20s")), SMOKE, weight(60)],
)


def fresh(steps: list[Step], *, by: Sizing = BY_WEIGHT, **given: Any) -> Given:
    """Work that pods split is not split in three: the spec refuses it."""
    return release(steps, by=by, baseline="fresh" if by is BY_WEIGHT else "stable", **given)


def routed(given: Callable[..., Given], *, by: Sizing = BY_WEIGHT, **more: Any) -> Given:
    """A router that copies requests, and tells them apart, splits work by weights."""
    del by
    return given(by=BY_WEIGHT, **more)


COPIES = Mirror(50.0, analyze("10s", "30s"))
HEADER = Header(reach.Header("x-canary", "1"), analyze("0s", "20s"))
BEFORE_WORK: tuple[Callable[..., Given], ...] = (
    partial(release, [COPIES, approve(), Mirror(100.0), weight(10, analyze("10s", "20s")), weight(60)]),
    partial(release, [HEADER, weight(10), approve(), weight(60)], limits={"floor": 0.05}),
    partial(blue_green, COPIES, approve(), preview=1, keep=30.0),
    partial(blue_green, HEADER, pause("5s"), keep=30.0, limits={"floor": 0.05}),
)
STRATEGIES: tuple[Callable[..., Given], ...] = (
    *(partial(release, steps) for steps in STEPS),
    *(partial(fresh, steps) for steps in STEPS),
    partial(blue_green, keep=30.0),
    partial(blue_green, pause("20s"), approve(), preview=1, keep=30.0, at=PREVIEWED),
    partial(blue_green, SMOKE, preview=1, keep=30.0),
    *(partial(routed, given) for given in BEFORE_WORK),
)


class Life(RuleBasedStateMachine):
    @initialize(
        strategy=st.sampled_from(STRATEGIES),
        replicas=st.sampled_from((0, 1, 4, 10)),
        by=st.sampled_from((BY_WEIGHT, BY_PODS)),
        first=st.booleans(),
        on_timeout=st.sampled_from(("proceed", "wait", "rollback")),
        on_new_version=st.sampled_from(("restart", "finish", "queue")),
        network_s=st.sampled_from((0.0, 4.0, 20.0)),
    )
    def begin(self, strategy, replicas, by, first, on_timeout, on_new_version, network_s):
        given = strategy(replicas=replicas, by=by, on_timeout=on_timeout, deadline="2m", on_new_version=on_new_version)
        self.baselines = set()
        self.world = World().given(given.first() if first else given)
        self.world.cluster.reachability.network_s = network_s
        self.world.settle()

    @rule(revision=st.sampled_from(REVISIONS))
    def commit(self, revision):
        self.world.commit(revision)

    @rule(seconds=st.sampled_from((0.5, 5, 15, 40, 150)))
    def time_passes(self, seconds):
        self.world.advance(seconds=seconds)

    @rule(revision=st.sampled_from(REVISIONS), behavior=st.sampled_from(BEHAVIORS))
    def pods(self, revision, behavior):
        self.world.pods(revision, behavior)

    @rule(revision=st.sampled_from(REVISIONS[1:]), errors=st.sampled_from((0.001, 0.3)))
    def errors(self, revision, errors):
        self.world.regress(revision, errors)

    @rule(reason=st.sampled_from(("SourceOutage", "MetricBroken", "")))
    def metrics(self, reason):
        self.world.metrics.come_back()
        if reason:
            self.world.metrics.go_dark(reason)
        self.world.settle()

    @rule(configuration=st.sampled_from(("", MISSING, UNKNOWN)))
    def config_map(self, configuration):
        self.world.configuration = configuration
        self.world.settle()

    @rule(result=st.sampled_from((*ANSWERS, None)))
    def gate(self, result):
        """What the outbox has learned of all that is owed; None: nothing, as after a restart."""
        self.world.gate = result
        if result is None:
            self.world.effects = {}
        self.world.learn()
        self.world.settle()

    @rule(
        action=st.sampled_from(ACTIONS),
        revision=st.sampled_from(("", "", *REVISIONS)),
        to=st.sampled_from(("", *REVISIONS)),
    )
    def ask(self, action, revision, to):
        canary, attempt = self.world.release.canary, self.world.release.attempts
        if action in ("rollback", "retry"):
            revision = revision or (self.world.release.stable if action == "rollback" else self.world.target)
        name = self.world.ask(action, revision, to=to if action == "rollback" else "")
        accepted = not self.world.answer(name).startswith("refused")
        if action == "retry" and accepted and revision == self.world.target:
            busy = self.world.spec.suspend or self.world.release.going_back
            assert busy or self.world.release.attempts == attempt + 1
        if action == "promote" and accepted and self.world.release.canary:
            assert self.world.release.step == len(self.world.spec.steps)
        named = revision or canary
        if action == "abort" and canary and named == canary and self.world.release.stable:
            assert self.world.traffic.of(canary) == 0
            assert self.world.release.is_rejected(canary)

    @rule(seconds=st.sampled_from((None, 20.0, 300.0)))
    def keep_failed(self, seconds):
        self.world.edit(keep_failed=seconds)

    @rule(revision=st.sampled_from(("", *REVISIONS)))
    def annotate(self, revision):
        self.world.annotate(revision)

    @rule(replicas=st.sampled_from((0, 1, 2, 4, 9)))
    def autoscaler(self, replicas):
        self.world.edit(replicas=replicas)

    @rule(strategy=st.sampled_from(STRATEGIES))
    def edit_the_strategy(self, strategy):
        given = strategy(by=self.world.cluster.sizing)
        if given.sizing is not self.world.cluster.sizing:
            return  # refused: this router cannot do its steps
        spec = given.spec
        self.world.edit(strategy=spec.strategy, strategy_kind=spec.strategy_kind, steps=spec.steps)

    @rule(suspend=st.booleans())
    def suspend(self, suspend):
        self.world.edit(suspend=suspend)

    @rule(wait=st.integers(0, 3), after=st.integers(0, 9))
    def crash(self, wait, after):
        self.world.crash_at = (self.world.decisions + 1 + wait, after)
        self.world.restart()

    @rule(shares=st.sampled_from((None, {"v1": 100.0}, {"v1": 50.0, "v2": 50.0}, {"v2": 100.0})))
    def edit_the_route(self, shares):
        cluster = self.world.cluster
        if cluster.sizing is BY_WEIGHT:
            cluster.route = shares
        elif cluster.service is not None:
            cluster.service = "" if shares is None or len(shares) > 1 else next(iter(shares))
        self.world.settle()

    @rule()
    def lose_the_service(self):
        self.world.cluster.service = None
        self.world.settle()

    @rule(behavior=st.sampled_from(BEHAVIORS))
    def pods_of_the_baseline(self, behavior):
        baseline = self.world.release.baseline
        if baseline:
            self.baselines.add(baseline)
            self.world.pods(baseline, behavior)

    @rule(revision=st.sampled_from(REVISIONS), what=st.sampled_from(("deployment", "service", "pods")))
    def edit_a_revision(self, revision, what):
        found = self.world.cluster.deployments.get(revision)
        if found is None:
            return
        if what == "deployment":
            self.world.cluster.deployments[revision] = Deployment(0, deployment=False, service=found.service)
        elif what == "service":
            found.service = False
        else:
            found.scale(1, self.world.cluster.now)
        self.world.settle()

    @precondition(lambda self: hasattr(self, "world"))
    @rule()
    def restart(self):
        self.world.restart()

    def teardown(self):
        if not hasattr(self, "world"):
            return
        world = self.world
        convicted = world.release.is_rejected(world.target)
        world.metrics.come_back()
        world.configuration = ""
        world.gate = ANSWERS[0]
        for revision in (*REVISIONS, *sorted(self.baselines)):
            world.regress(revision, 0.001)
            world.recover(revision)
        world.edit(suspend=False, replicas=4)
        for _ in range(40):
            world.advance(seconds=20)
            if world.release.phase == "Paused":
                world.ask("resume" if world.release.reason == "PausedByPerson" else "approve")
        status = world.release
        fell = status.is_rejected(world.target)
        assert status.phase == ("RolledBack" if fell else "Healthy"), status
        assert fell or status.stable == world.target
        assert fell or not convicted
        assert world.traffic.stable == 100
        assert set(world.cluster.deployments) == {status.stable}
        assert world.cluster.service == status.stable
        assert not world.cluster.finalizer
        assert not status.owed


Life.TestCase.settings = settings(
    deadline=None,
    derandomize=True,
    max_examples=45,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLife = pytest.mark.timeout(120)(Life.TestCase)
