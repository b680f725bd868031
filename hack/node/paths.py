"""Where things lie: what may be thrown away with a cluster, and what outlives it."""

import os
from pathlib import Path

NODE = Path(__file__).resolve().parent
CHECKOUT = NODE.parents[1]
STATE = CHECKOUT / ".cluster"


def cache() -> Path:
    """What is built once for all checkouts of a user; `hack/cluster down` leaves it alone."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pointsman"
