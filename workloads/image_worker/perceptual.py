"""A perceptual hash: images that look alike have hashes that differ in few of 64 bits.

The image is made 32 × 32 and grey, transformed by a discrete cosine transform (DCT-II), and each of the 64 lowest
frequencies gives a bit: above the median or not. Sizes, formats and compression live in the high frequencies.
"""

import numpy as np
from PIL import Image

BITS = 64
_SIDE = 32
_KEPT = 8

_STEPS = np.arange(_SIDE)
_COSINES = np.cos(np.pi * (2 * _STEPS[None, :] + 1) * _STEPS[:, None] / (2 * _SIDE))[:_KEPT]


def perceptual_hash(image: Image.Image) -> int:
    """64 bits. Transparent images count as seen on white."""
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    low = (_COSINES @ grey @ _COSINES.T).ravel()
    low = np.where(np.abs(low) < 1e-6, 0.0, low)  # noqa: PLR2004 - rounding must not make bits of a flat image
    median = np.median(low[1:])  # the first is the brightness, larger than all others
    bits = low > median
    return int("".join("1" if bit else "0" for bit in bits), 2)


def distance(one: int, other: int) -> int:
    """Hamming: in how many bits they differ."""
    return (one ^ other).bit_count()
