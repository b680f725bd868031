"""Job kind `ingest`: what a user uploaded is checked, normalised, and given a thumbnail.

Nothing that the file says about itself is believed: its format is found by decoding it, its size is limited before
its pixels are, and what is kept is encoded anew, without the metadata (places, names) that cameras write. Metadata
that is broken is no reason to refuse a photo: phones and editors write such.
"""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from workloads.image_worker.kind import Kind
from workloads.image_worker.refusal import BadJobError
from workloads.image_worker.scans import MOST_SCANS, scans

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_BYTES = 20 * 2**20
_MOST_PIXELS = 50_000_000
_SIDE = 2048
_THUMBNAIL = 256
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TO_8_BITS = ((np.arange(2**16) + 128) // 257).astype(np.uint8)


def normalise(data: bytes) -> Image.Image:
    """As people saw it: upright, in sRGB; RGB or RGBA, at most 2048 pixels a side. Raises BadJobError."""
    if (found := scans(data)) > MOST_SCANS:
        raise BadJobError(f"the JPEG has more than {MOST_SCANS} scans ({found}). Save it again with an image editor")
    try:
        with warnings.catch_warnings():
            # Pillow warns of metadata that it cannot read, which is harmless; of too many pixels before it refuses.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                _check(opened)
                opened.load()
                orientation, profile = _orientation(opened), opened.info.get("icc_profile")
                image = _eight_bits(opened)
    except UnidentifiedImageError:
        raise BadJobError(f"the upload is no image of the formats {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        if isinstance(problem, BadJobError):
            raise
        raise BadJobError(f"the image cannot be decoded: {problem}") from None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    image = _in_srgb(image, profile)
    return image.transpose(_TURNED[orientation]) if orientation in _TURNED else image


def thumbnail(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    return small


def _check(opened: Image.Image) -> None:
    if opened.width * opened.height > _MOST_PIXELS:
        raise BadJobError(f"the image has {opened.width} x {opened.height} pixels, over {_MOST_PIXELS}")
    # An MPO has several frames too, but they are no animation: the first is the photo.
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format in {"PNG", "WEBP"}:
        raise BadJobError(f"the image is animated ({frames} frames). Upload a still image")


def _orientation(image: Image.Image) -> int:
    """1 to 8 as in Exif; 1 where it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - rubbish in Exif raises many things, and is no reason to refuse a photo
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """L, RGB, RGBA or CMYK. 16 bits of grey are scaled: Pillow's own conversion makes all from 255 on white."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint16)
        grey = Image.fromarray(_TO_8_BITS[values])
        if not isinstance(clear := image.info.get("transparency"), int):
            return grey
        whole = Image.merge("RGB", (grey, grey, grey))
        whole.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return whole
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.copy() if image.mode in {"L", "CMYK"} else image.convert("RGB")


def _in_srgb(image: Image.Image, profile: Any) -> Image.Image:
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if isinstance(profile, bytes):
        source = image
        try:
            described = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if described.profile.xcolor_space.strip() == "GRAY" and mode == "RGB":
                source = image.convert("L")
            converted = ImageCms.profileToProfile(source, described, ImageCms.createProfile("sRGB"), outputMode=mode)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None  # a broken profile, or one of other colors than the image's
        if converted is not None:
            return converted
    return image if image.mode == mode else image.convert(mode)


def read(body: Mapping[str, Any]) -> None:
    """Raises BadJobError."""
    if not isinstance(key := body.get("source_key"), str) or not key:
        raise BadJobError(f"source_key: {key!r} is not the name of an object")


def _images(_: None, __: str, data: bytes) -> Mapping[str, Image.Image]:
    whole = normalise(data)
    return {"image": whole, "thumbnail": thumbnail(whole)}


KIND = Kind("ingest", read=read, draw=_images, takes_upload=True, lossy=True)
