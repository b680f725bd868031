"""What a kind of job is: one file in `kinds`, which the registry finds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PIL import Image

Parameters = TypeVar("Parameters")


@dataclass(frozen=True, slots=True)
class Kind(Generic[Parameters]):
    """`read` and `draw` run in a render process, and `read` at `enqueue` too. Both raise BadJobError."""

    name: str
    read: Callable[[Mapping[str, Any]], Parameters]
    """Checks the job's body; the error begins with the name of the field."""
    draw: Callable[[Parameters, str, bytes], Mapping[str, Image.Image]]
    """From parameters, job id and upload: `image`, and any other image by its name. The same every time."""
    takes_upload: bool = False
    """The body has a `source_key`, and `draw` gets the bytes of that object."""
    lossy: bool = False
    """What has no transparency is stored as JPEG, and not as PNG."""
