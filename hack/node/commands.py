"""Programs of the machine, run to their end."""

import subprocess
from collections.abc import Sequence

from hack.node.trouble import TroubleError


def output_of(command: Sequence[str]) -> str:
    """Raises TroubleError with all that it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TroubleError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout
