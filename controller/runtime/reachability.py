"""Whether a version that is ready can be reached.

An EndpointSlice says that a pod is ready, not that anybody gets there. kube-proxy writes the rules of a node once a
second at most, and later on a busy one; a Gateway has to hear of the pod as well. Where a Service had no pod before, a
connection is refused until then, or never answered: whoever is sent there early loses a request, and a good version is
found guilty of it. A pod beside others harms nobody, because the others get its part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from controller.kube.objects import Key

NETWORK_S = 3.0
"""As kube-proxy measures it on an idle node (kubeproxy_network_programming_duration_seconds): half within 1 s, nearly
all within 2 s.
"""


@dataclass
class Reachability:
    clock: Callable[[], float]
    """Seconds since the epoch."""
    network_s: float = NETWORK_S
    """Seconds from the first ready pod of a version until it is reached from everywhere."""
    _since: dict[Key, dict[str, float]] = field(default_factory=dict)
    """When each version was first seen with a ready pod."""

    def awaited(self, key: Key, ready: Collection[str]) -> dict[str, float]:
        """Seconds that the network still has for each version that it may not have noticed yet.

        `ready`: the versions that have a ready pod now. Those that are found at the first look, after a restart, may
        have had it for long, and may have work.
        """
        now, known = self.clock(), self._since.get(key)
        first = now if known is not None else now - self.network_s
        since = self._since[key] = {one: (known or {}).get(one, first) for one in ready}
        left = {one: self.network_s - (now - moment) for one, moment in since.items()}
        return {one: seconds for one, seconds in left.items() if seconds > 0}

    def forget(self, key: Key) -> None:
        self._since.pop(key, None)
