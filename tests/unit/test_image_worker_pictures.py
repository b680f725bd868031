"""What the image worker makes of pictures, and which it refuses."""

import asyncio
import io
import random
import zlib

import pytest
from PIL import Image

from tests.e2e.patience import until
from workloads.common.attempt import RefusedError
from workloads.image_worker import picture, upload
from workloads.image_worker.near import bands
from workloads.image_worker.perceptual import distance, perceptual_hash
from workloads.image_worker.refusal import BadJobError
from workloads.image_worker.renderer import Renderer


def drawn(seed: str = "a", **more: object) -> Image.Image:
    return picture.render(picture.read({"width": 320, "height": 240, "text": seed, **more}), seed)


def encoded(image: Image.Image, kind: str = "JPEG", **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def test_the_same_job_is_the_same_bytes_and_another_is_not() -> None:
    """W15"""
    assert encoded(drawn("a"), "PNG") == encoded(drawn("a"), "PNG") != encoded(drawn("b"), "PNG")


@pytest.mark.parametrize(
    ("field", "value"), [("width", 0), ("height", 99_999), ("shapes", "many"), ("width", True), ("text", "a\nb")]
)
def test_a_wrong_parameter_is_named(field: str, value: object) -> None:
    """W15"""
    with pytest.raises(BadJobError, match=f"^{field}: "):
        picture.read({field: value})


def test_an_upload_is_turned_upright_made_smaller_and_stripped_of_what_the_camera_wrote() -> None:
    """W15"""
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "Camera"
    image = upload.normalise(encoded(drawn().resize((3000, 1500)), exif=exif))
    assert image.size == (1024, 2048)
    assert b"Camera" not in encoded(image)
    assert max(upload.thumbnail(image).size) == 256


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"<svg/>", encoded(drawn())[:2000], encoded(drawn(), "GIF")],
    ids=["empty", "torn gif", "svg", "torn jpeg", "gif"],
)
def test_what_is_no_whole_image_of_a_known_format_is_refused(data: bytes) -> None:
    """W15"""
    with pytest.raises(BadJobError, match=r"no image of the formats|cannot be decoded"):
        upload.normalise(data)


def test_an_image_of_too_many_pixels_is_refused_before_they_are_made() -> None:
    """W15"""
    small = encoded(Image.new("L", (8, 8)), "PNG")
    head = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + small[24:29]
    huge = small[:12] + head + zlib.crc32(head).to_bytes(4, "big") + small[33:]
    with pytest.raises(BadJobError, match=r"pixels|decoded"):
        upload.normalise(huge)


def test_hashes_are_near_for_the_same_picture_and_far_for_another() -> None:
    """W16"""
    one = [drawn(str(seed)) for seed in range(12)]
    hashes = [perceptual_hash(image) for image in one]
    for image, expected in zip(one, hashes, strict=True):
        worn = Image.open(io.BytesIO(encoded(image.resize((200, 150)), quality=50)))
        assert distance(perceptual_hash(worn), expected) <= 4
    others = [distance(a, b) for place, a in enumerate(hashes) for b in hashes[:place]]
    assert min(others) > 8


def test_a_flat_image_has_a_hash_without_noise() -> None:
    """W16"""
    assert {perceptual_hash(Image.new("RGB", (90, 70), color)) for color in ("white", "red", "#123456")} == {1 << 63}


@pytest.mark.parametrize("limit", [0, 3, 4, 7, 15])
def test_hashes_within_the_limit_share_a_band(limit: int) -> None:
    """W16: so that queries for the bands of one find the other."""
    draws = random.Random(limit)  # noqa: S311
    for _ in range(2000):
        one = draws.getrandbits(64)
        other = one
        for bit in draws.sample(range(64), limit):
            other ^= 1 << bit
        assert set(bands(one, limit)) & set(bands(other, limit))
    assert len(bands(one, limit)) == limit + 1
    assert set(bands(0, limit)).isdisjoint(bands(2**64 - 1, limit))


async def test_a_render_process_is_kept_killed_with_its_job_and_refuses_with_the_field() -> None:
    """W10, W15"""
    async with Renderer(memory_mib=1024) as renderer:
        rendered = await renderer.render("a", "render", {"width": 64, "height": 64})
        assert Image.open(io.BytesIO(rendered.parts[0].data)).size == (64, 64)
        [idle] = renderer._idle
        with pytest.raises(RefusedError, match="width: 1 is not"):
            await renderer.render("a", "render", {"width": 1})
        assert renderer._idle == [idle]
        task = asyncio.create_task(renderer.render("a", "render", {"width": 4096, "height": 4096, "shapes": 1000}))
        await until(lambda: not renderer._idle, "the process is taken")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not idle.lives
        again = await renderer.render("a", "render", {"width": 64, "height": 64})
        assert again == rendered
