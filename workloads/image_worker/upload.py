"""Job kind `ingest`: what a user uploaded is checked, normalised, and given a thumbnail.

Nothing that the file says about itself is believed: its format is found by decoding it, its size is limited before
its pixels are, and what is kept is encoded anew, without the metadata (places, names) that cameras write.
"""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from workloads.image_worker.refusal import BadJobError

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_BYTES = 20 * 2**20
_MOST_PIXELS = 50_000_000
_SIDE = 2048
_THUMBNAIL = 256


def normalise(data: bytes) -> Image.Image:
    """Upright, RGB or RGBA, at most 2048 pixels a side. Raises BadJobError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a decompression bomb warns before it explodes
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                if opened.width * opened.height > _MOST_PIXELS:
                    raise BadJobError(f"the image has {opened.width} x {opened.height} pixels, over {_MOST_PIXELS}")
                opened.load()
                image = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise BadJobError(f"the upload is no image of the formats {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        if isinstance(problem, BadJobError):
            raise
        raise BadJobError(f"the image cannot be decoded: {problem}") from None
    transparent = image.has_transparency_data
    image = image.convert("RGBA" if transparent else "RGB")
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return image


def thumbnail(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    return small
