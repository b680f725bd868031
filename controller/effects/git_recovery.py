"""`gitRecovery`: finds with what a Release without a history is deployed first, in a cluster that was built anew.

The manifest may ask for a version that was never promoted: the old cluster was in the middle of its release. Where the
record names another one as healthy, that one's template is read from its commit, and kept in a ControllerRevision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import registry
from controller.api.effect import Effect
from controller.api.fields import field, record
from controller.api.git_origin import GitOrigin, Write
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec, parse_release
from controller.api.resources import CONTROLLER_REVISIONS, RELEASES, Rule
from controller.api.shapes import Record, Text
from controller.api.text import one_line
from controller.effects.carrier import CarriedOut, Carrier, EffectContext, EffectRefusedError, Limits, Owner, payload_of
from controller.effects.git_work import EXAMPLE_ORIGIN, working
from controller.effects.secret_values import RULE
from controller.git import state
from controller.git.order import NothingError
from controller.git.version import Version
from controller.kube.client import ConflictError
from controller.kube.objects import Key, controller_revision, owner_of

KIND = "gitRecovery"
RULES = (RULE, Rule(CONTROLLER_REVISIONS, ("get", "create")))
LIMITS = Limits(at_once=4, per_namespace=2, timeout_s=300.0, first_retry_s=2.0, longest_retry_s=60.0)
_MOST_NOTE = 512

EXAMPLE: dict[str, Any] = {
    "origin": EXAMPLE_ORIGIN,
    "revision": "bbbbbbbbbb",
}


@record("A payload.")
class Config:
    origin: GitOrigin = field(Record(GitOrigin), "As in the spec.")
    revision: str = field(Text(63, 1), "The version that the manifest asks for.")


class GitRecovery:
    def __init__(self, context: EffectContext) -> None:
        self._context = context

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        if config.origin.write is Write.NEVER:
            raise EffectRefusedError("gitOrigin.write is Never")
        async with working(self._context, owner, config.origin) as work:
            healthy = await state.read(work.repository, work.identity)
            if healthy is None:
                return CarriedOut({"revision": "", "note": ""})
            release = await self._context.kube.get(RELEASES, owner.namespace, owner.name)
            spec = _spec(owner, release)
            if Version(spec.template, spec.ports).content(work.identity) == healthy.content:
                return CarriedOut({"revision": "", "note": ""})  # it was promoted before
            try:
                version = await state.restored(work.place, healthy)
                revision = version.name(work.identity)
                if revision != config.revision:  # else it was promoted before, with its ConfigMaps
                    await self._keep(owner, release, spec, revision, version)
            except NothingError as error:
                return CarriedOut({"revision": "", "note": one_line(str(error), _MOST_NOTE)})
        return CarriedOut({"revision": revision, "commit": healthy.commit, "note": ""})

    async def _keep(
        self, owner: Owner, release: Mapping[str, Any], spec: ReleaseSpec, revision: str, version: Version
    ) -> None:
        """In a ControllerRevision. Raises NothingError, KubeError."""
        made = controller_revision(
            Key(owner.namespace, owner.name),
            revision,
            1,
            template=version.template,
            ports=version.ports,
            owner=owner_of(release, spec),
        )
        if version.configuration is not None:
            made["data"]["configuration"] = version.configuration.to_raw()
        try:
            await self._context.kube.create(CONTROLLER_REVISIONS, owner.namespace, made)
        except ConflictError:
            # by a try whose answer was lost
            name = made["metadata"]["name"]
            found = await self._context.kube.get(CONTROLLER_REVISIONS, owner.namespace, name)
            if found["data"] != made["data"]:
                raise NothingError(f"ControllerRevision {name} is there already, and holds something else") from None


create = GitRecovery
_is_carrier: type[Carrier] = GitRecovery


def _spec(owner: Owner, release: Mapping[str, Any]) -> ReleaseSpec:
    """Raises EffectRefusedError."""
    try:
        return parse_release(owner.name, release["spec"], registry.kinds())
    except SpecError as error:
        raise EffectRefusedError(str(error)) from error
