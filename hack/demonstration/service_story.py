"""The story of `hack/demo`: users invite their friends all the time, while a good version of the invitation API is
promoted, and one that fails and one that is slow are rolled back. With `--blue-green` a good version is switched and
kept, one that fails is found in the preview by a Job, and one that fails only under everybody's load is switched back.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import aiohttp

from controller.kube.client import KubeClient
from hack.demonstration.invitations import FOLDER, Invitations, Kept
from hack.demonstration.releasing import PATIENCE_S, POLL_S, Fate, Named, Outcome, Version
from hack.demonstration.story import Story
from hack.demonstration.telling import Summary
from hack.install import Kubectl
from hack.load import Load, Snapshot, plan_for
from hack.load.tally import FIRST_BAD, UNNAMED
from hack.node.trouble import TroubleError

NAMESPACE, NAME, HOST = "friends", "invitations", "invite.localhost"
RATES = (50.0, 25.0, 12.5)
"""Requests a second. The most that the machine answers in time is sent: cores that others use make any version slow."""
_TRIAL_S = 4.0
_IN_TIME_MS = 500.0
"""From there on the metric `latency` counts a request as bad."""
GOOD = Version("2: a good one", {"VERSION": "2"}, Fate.PROMOTED)
FAILING = Version("3: fails 20 % of its requests", {"VERSION": "3", "ERROR_RATE": "0.2"})
SLOW = Version(
    "4: half of its requests take a second longer",
    {"VERSION": "4", "ERROR_RATE": "0", "EXTRA_LATENCY": "1", "LATENCY_SHARE": "0.5"},
)
REPLICAS = 2
_MUCH_TOO_MUCH = 0.6
"""The part of everybody's load that a pod of the version can do which only that load shows."""


def switched(rate: float) -> tuple[Version, ...]:
    """With `blueGreen`. The Job asks for 3.3 pages a second: what a pod can do is more than that at each of RATES."""
    share = rate / REPLICAS
    most = round(_MUCH_TOO_MUCH * share)
    return (
        Version("2: a good one", {"VERSION": "2"}, Fate.KEPT),
        Version("3: fails 20 % of its requests", {"VERSION": "3", "ERROR_RATE": "0.2"}, Fate.FOUND),
        Version(
            f"4: a pod can do {most} requests a second, and its part of everybody's is {share:g}",
            {"VERSION": "4", "ERROR_RATE": "0", "ERRORS_ABOVE": str(most)},
            Fate.RETURNED,
        ),
    )


_QUIET_S = 3.0
_MADE = "201"


@dataclass(frozen=True)
class Exposure:
    """What a version that was rolled back did to those who called it."""

    version: str
    answers: int
    failed: int
    seconds: float
    """From its first bad answer, or its first of any kind if none was, to its last."""

    def __str__(self) -> str:
        if not self.answers:
            return "no user has met it"
        return f"{self.answers} answers, {self.failed} failed, gone in {self.seconds} s"


@dataclass(frozen=True, kw_only=True)
class ServiceSummary(Summary):
    exposures: tuple[Exposure, ...]
    requests: int
    rate: float
    failed_on_good_versions: int
    invited: int
    """Requests that were answered with an invitation."""
    lost: int
    """Of these the database does not know, or has not sent."""
    sent_twice: int
    failures: Mapping[str, int] = field(default_factory=dict)
    """On good versions: who said what, and how often."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """What bad answers of any version said, and how often."""

    @property
    def well(self) -> bool:
        return super().well and not (self.lost or self.sent_twice)

    def harm(self) -> Mapping[str, str]:
        return {each.version: str(each) for each in self.exposures}

    def counts(self) -> Mapping[str, object]:
        return {
            "requests": f"{self.requests} at {self.rate:g}/s",
            "failed on good versions": ", ".join(
                [str(self.failed_on_good_versions), *(f"{count} × {what}" for what, count in self.failures.items())]
            ),
            "invited": self.invited,
            "lost, sent twice": f"{self.lost}, {self.sent_twice}",
            **self._times("answer"),
        }


@dataclass(frozen=True)
class Pace:
    rate: float
    invited: int
    """Requests that were answered with an invitation while it was found."""


class ServiceStory(Story[ServiceSummary]):
    release: ClassVar = Named(NAMESPACE, NAME)
    folder: ClassVar = FOLDER
    stepwise: ClassVar = (GOOD, FAILING, SLOW)
    switched: ClassVar = switched(RATES[0])

    async def _tell(self, kube: KubeClient) -> ServiceSummary:
        releasing, invitations = self._releasing, Invitations(self._cluster, NAMESPACE)
        kubectl = Kubectl(self._cluster)
        kubectl.apply("-f", FOLDER / "namespace.yaml")
        async with releasing.followed():
            await invitations.open(kubectl)
            await releasing.commit(kube, "version 1", VERSION="1")
            first = await releasing.until_over(kube)
            await self._until_routed()
            found = await self._pace(invitations)
            rate = found.rate
            releasing.restart_clock()
            plan = plan_for(self._cluster.gateway_url, rate=rate, host=HOST)
            async with Load(plan, calls=invitations.call) as load:
                busy = "" if rate == RATES[0] else f", as this machine is too busy for {RATES[0]:g}"
                releasing.tell(f"load: {rate:g} invitations/s through the gateway{busy}")
                await asyncio.sleep(_QUIET_S)
                try:
                    outcomes = await releasing.one_after_the_other(kube, self._at(rate), first)
                except TroubleError:
                    counted = await load.stop()
                    releasing.tell(f"{counted.failed} of {counted.sent} requests had failed: {counted.reasons}")
                    raise
                await asyncio.sleep(_QUIET_S)
                counted = await load.stop()
        return await self._summary(counted, outcomes, await invitations.kept(), found)

    def _at(self, rate: float) -> Sequence[Version]:
        """A load that is less than planned would show nothing of what only everybody's load shows."""
        return switched(rate) if self._versions is self.switched else self._versions

    async def _pace(self, invitations: Invitations) -> Pace:
        """Found before anything is released; it also warms up what will be compared with."""
        invited = 0
        for rate in RATES[:-1]:
            plan = plan_for(self._cluster.gateway_url, rate=rate, seconds=_TRIAL_S, host=HOST)
            async with Load(plan, calls=invitations.call) as load:
                await load.finished()
                counted = await load.stop()
            invited += counted.codes.get(_MADE, 0)
            if is_in_time(counted):
                return Pace(rate, invited)
        return Pace(RATES[-1], invited)

    async def _until_routed(self) -> None:
        """The router follows a moment after its route is written (0.2 s were seen); until then it answers 404."""
        deadline = time.monotonic() + PATIENCE_S
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(self._cluster.gateway_url, headers={"Host": HOST}) as answer:
                    if answer.ok:
                        return
                if time.monotonic() > deadline:
                    raise TroubleError(f"the gateway does not answer for {HOST}: see `hack/cluster logs traefik`.")
                await asyncio.sleep(POLL_S)

    async def _summary(self, counted: Snapshot, outcomes: Sequence[Outcome], kept: Kept, pace: Pace) -> ServiceSummary:
        exposures = tuple(exposure(each, counted) for each in outcomes if not each.good)
        invited = counted.codes.get(_MADE, 0)
        return ServiceSummary(
            releases=tuple(outcomes),
            exposures=exposures,
            requests=counted.answered + counted.transport_errors,
            rate=pace.rate,
            failed_on_good_versions=counted.failed - sum(each.failed for each in exposures),
            invited=invited,
            lost=lost(kept, invited + pace.invited),
            sent_twice=kept.tried_twice,
            reasons=counted.reasons,
            failures=failures(counted, {each.revision for each in outcomes if not each.good}),
            **await asyncio.to_thread(self._in_git),
            switch_s=longest(
                seconds(one.switched_at, counted, one.before) for one in outcomes if one.fate is Fate.KEPT
            ),
            return_s=longest(seconds(one.returned_at, counted, one.revision) for one in outcomes),
        )


def is_in_time(counted: Snapshot) -> bool:
    """Nothing failed, and next to nothing was slow."""
    return counted.answered > 0 and not counted.failed and counted.latency_ms["p95"] <= _IN_TIME_MS


def lost(kept: Kept, invited: int) -> int:
    """Of so many answers that somebody was invited: those without an invitation, and invitations that were not sent."""
    return kept.missing(invited) + kept.unsent


def failures(counted: Snapshot, bad: Iterable[str]) -> dict[str, int]:
    """But for those that bad versions answered: who said what, and how often."""
    found, known_bad = Counter[str](), set(bad)
    for revision, tally in counted.revisions.items():
        for code, count in tally.codes.items():
            if int(code) >= FIRST_BAD and revision not in known_bad:
                found[f"{code} by {'the gateway' if revision == UNNAMED else 'a pod'}"] += count
    for what, count in counted.transport.items():
        found[f"no answer ({what})"] += count
    return dict(found.most_common())


def exposure(outcome: Outcome, counted: Snapshot) -> Exposure:
    tally = counted.revisions.get(outcome.revision)
    if tally is None:
        return Exposure(outcome.version, 0, 0, 0.0)
    seconds = tally.last - (tally.first_bad or tally.first)
    return Exposure(outcome.version, tally.answers, tally.bad, round(seconds, 1))


def seconds(decided_at: float | None, counted: Snapshot, revision: str) -> float | None:
    """From a decision to the last answer of the version that it takes the work from; at least 0."""
    tally = counted.revisions.get(revision)
    return None if decided_at is None or tally is None else max(0.0, tally.last - decided_at)


def longest(found: Iterable[float | None]) -> float | None:
    measured = [one for one in found if one is not None]
    return round(max(measured), 2) if measured else None
