"""Job kind `render`: makes an image from parameters.

The same job always gives the same bytes: whoever does it a second time must not make another image of it.
"""

import functools
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from workloads.image_worker.kind import Kind
from workloads.image_worker.refusal import BadJobError

LARGEST = 4096
_LONGEST_TEXT = 200
_JOINERS = "\u200c\u200d"
"""Zero width non-joiner and joiner: not printable, but parts of words."""
_MISSING = "\U0010fffd"
"""For private use: no font has it."""


@dataclass(frozen=True, slots=True)
class Parameters:
    width: int
    height: int
    text: str
    shapes: int


def read(body: Mapping[str, Any]) -> Parameters:
    """Raises BadJobError."""

    def whole(name: str, default: int, lowest: int, highest: int) -> int:
        value = body.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise BadJobError(f"{name}: {value!r} is not a whole number between {lowest} and {highest}")
        return value

    text = body.get("text", "")
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not _without_joiners(text).isprintable():
        raise BadJobError(f"text: {str(text)[:40]!r} is not one line of at most {_LONGEST_TEXT} characters")
    for letter in sorted(set(_without_joiners(text))):
        if not _can_be_drawn(letter):
            raise BadJobError(f"text: the font has no {letter!r} (U+{ord(letter):04X}). RENDER_FONT can name another")
    return Parameters(
        width=whole("width", 512, 16, LARGEST),
        height=whole("height", 512, 16, LARGEST),
        text=text,
        shapes=whole("shapes", 12, 0, 1000),
    )


def render(parameters: Parameters, seed: str) -> Image.Image:
    """A gradient, shapes and a line of text, all drawn from the seed."""
    size = (parameters.width, parameters.height)
    draws = random.Random(seed)  # noqa: S311 - repeatable is the point
    gradient = Image.linear_gradient("L").resize(size).rotate(draws.choice((0, 180)))
    image = Image.composite(Image.new("RGB", size, _color(draws)), Image.new("RGB", size, _color(draws)), gradient)
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(parameters.shapes):
        left, top = draws.randrange(-size[0] // 4, size[0]), draws.randrange(-size[1] // 4, size[1])
        box = (left, top, left + draws.randint(8, size[0] // 2), top + draws.randint(8, size[1] // 2))
        shape = draw.ellipse if draws.random() < 0.5 else draw.rectangle  # noqa: PLR2004
        shape(box, fill=(*_color(draws), 160))
    if parameters.text:
        font = _font(max(10, size[1] // 12))
        middle = (size[0] / 2, size[1] / 2)
        draw.text(middle, parameters.text, font=font, anchor="mm", fill="white", stroke_width=2, stroke_fill="black")
    return image


def _without_joiners(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, _JOINERS)))


@functools.lru_cache(maxsize=4096)
def _can_be_drawn(letter: str) -> bool:
    """Whether the font draws something else for it than for what it has not."""
    return letter.isspace() or _drawn(letter) != _drawn(_MISSING)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own has the letters of ASCII alone."""
    file = os.environ.get("RENDER_FONT")
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


def _drawn(letter: str) -> tuple[tuple[int, int], bytes]:
    mask = _font(32).getmask(letter)
    return mask.size, bytes(mask)


def _color(draws: random.Random) -> tuple[int, int, int]:
    return draws.randrange(256), draws.randrange(256), draws.randrange(256)


def _images(parameters: Parameters, job_id: str, _: bytes) -> Mapping[str, Image.Image]:
    return {"image": render(parameters, job_id)}


KIND = Kind("render", read=read, draw=_images)
