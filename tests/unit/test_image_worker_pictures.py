"""What the image worker makes of pictures, and which it refuses."""

import asyncio
import io
import os
import random
import signal
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.e2e.patience import until
from workloads.common.attempt import RefusedError
from workloads.image_worker import settings
from workloads.image_worker.kinds import ingest as upload
from workloads.image_worker.kinds import kind_of, kinds
from workloads.image_worker.kinds import render as picture
from workloads.image_worker.near import bands
from workloads.image_worker.perceptual import distance, perceptual_hash
from workloads.image_worker.refusal import BadJobError
from workloads.image_worker.renderer import Limits, Renderer
from workloads.image_worker.scans import MOST_SCANS, scans

_PLACES = ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "JOBS_TABLE", "NEAR_TABLE", "BUCKET")


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
    async with Renderer(Limits(memory_mib=1536, cpu_s=60)) as renderer:
        rendered = await renderer.render("a", {"width": 64, "height": 64})
        assert Image.open(io.BytesIO(rendered.parts[0].data)).size == (64, 64)
        [idle] = renderer._idle
        with pytest.raises(RefusedError, match="width: 1 is not"):
            await renderer.render("a", {"width": 1})
        assert renderer._idle == [idle]
        task = asyncio.create_task(renderer.render("a", {"width": 4096, "height": 4096, "shapes": 1000}))
        await until(lambda: not renderer._idle, "the process is taken")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not idle.lives
        again = await renderer.render("a", {"width": 64, "height": 64})
        assert again == rendered


def pixel(image: Image.Image, column: int, row: int) -> tuple[int, ...]:
    found = image.getpixel((column, row))
    assert isinstance(found, tuple)
    return found


def _with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    return jpeg[:2] + bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def _exif_that_ends_early(orientation: int) -> bytes:
    """Announces five entries, and has one."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0MM\0*" + (8).to_bytes(4, "big") + (5).to_bytes(2, "big") + entry


@pytest.mark.parametrize(
    ("marker", "content", "size"),
    [
        (0xE1, _exif_that_ends_early(6), (240, 320)),
        (0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff", (320, 240)),
        (0xE1, b"Exif\0\0rubbish", (320, 240)),
        (0xE2, b"MPF\0" + b"rubbish" * 9, (320, 240)),
        (0xE2, b"MPF\0MM\0*" + (8).to_bytes(4, "big") + (3).to_bytes(2, "big"), (320, 240)),
        (0xE2, b"ICC_PROFILE\0\1\1rubbish", (320, 240)),
    ],
    ids=[
        "exif ends early",
        "exif points outside",
        "exif of rubbish",
        "mpf of rubbish",
        "mpf ends early",
        "icc of rubbish",
    ],
)
def test_a_photo_with_broken_metadata_is_a_good_photo(marker: int, content: bytes, size: tuple[int, int]) -> None:
    """W15: Pillow warns, as of what phones write; the job was tried three times and dead-lettered."""
    image = upload.normalise(_with_segment(encoded(drawn()), marker, content))
    assert image.size == size


def test_an_mpo_of_two_frames_is_its_first() -> None:
    """W15: phones put a second view or a depth map behind the photo."""
    mpo = encoded(drawn("a"), "MPO", save_all=True, append_images=[drawn("b")])
    assert distance(perceptual_hash(upload.normalise(mpo)), perceptual_hash(drawn("a"))) <= 4


def test_sixteen_bits_of_grey_are_scaled() -> None:
    """W15: all above 255 became white, with a mean of 253 for 115."""
    ramp = np.linspace(0, 65535, 257).round().astype(np.uint16)
    image = upload.normalise(encoded(Image.fromarray(np.tile(ramp, (16, 1))), "PNG"))
    assert [pixel(image, column, 8) for column in (0, 128, 256)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]


def _swapped_profile() -> bytes:
    """Of a screen whose red and green are exchanged: (255, 0, 0) is green."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = {
        profile[at : at + 4]: profile[at + 4 : at + 12]
        for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    }
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    return (
        profile.replace(b"rXYZ" + red, b"rXYZ" + b"?" * 8)
        .replace(b"gXYZ" + green, b"gXYZ" + red)
        .replace(b"rXYZ" + b"?" * 8, b"rXYZ" + green)
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_colors_come_out_as_the_images_profile_says(kind: str) -> None:
    """W15: profiles were dropped, so that photos of phones lost their color."""
    red = Image.new("RGB", (64, 64), (255, 0, 0))
    more = {"lossless": True} if kind == "WEBP" else {}
    got = pixel(upload.normalise(encoded(red, kind, icc_profile=_swapped_profile(), **more)), 32, 32)
    assert got[1] > 230
    assert max(got[0], got[2]) < 25


def test_a_transparent_image_keeps_its_transparency_beside_its_profile() -> None:
    """W15"""
    red = Image.new("RGBA", (64, 64), (255, 0, 0, 77))
    got = upload.normalise(encoded(red, "PNG", icc_profile=_swapped_profile()))
    assert got.mode == "RGBA"
    assert pixel(got, 32, 32)[3] == 77


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_an_animation_is_refused_and_not_cut_to_its_first_frame_in_silence(kind: str) -> None:
    """W15"""
    data = encoded(drawn("a"), kind, save_all=True, append_images=[drawn("b"), drawn("c")])
    with pytest.raises(BadJobError, match=r"animated \(3 frames\). Upload a still image"):
        upload.normalise(data)


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    """W15: 4 MiB with 53,000 scans were decoded for more than 130 s, three times over."""
    progressive = encoded(drawn(), progressive=True)
    assert 5 <= scans(progressive) <= 15
    assert upload.normalise(progressive).size == (320, 240)
    last = progressive.rindex(b"\xff\xda")
    many = progressive[:last] + progressive[last:-2] * 53_000 + progressive[-2:]
    assert scans(many) == MOST_SCANS + 1
    with pytest.raises(BadJobError, match="more than 100 scans"):
        upload.normalise(many)


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff\xd8\xff\xda\xff", b"\xff\xd8" + b"\xff" * 99, b"PNG", b""])
def test_scans_are_counted_in_any_bytes(data: bytes) -> None:
    assert scans(data) <= 1


async def test_a_job_that_hangs_without_using_the_processor_is_refused() -> None:
    """W10, W15: as one that is over its processor time."""
    async with Renderer(Limits(memory_mib=1536, cpu_s=60)) as renderer:
        await renderer.render("a", {"width": 64, "height": 64})
        [idle] = renderer._idle
        os.kill(idle._process.pid, signal.SIGSTOP)
        renderer._limits = Limits(memory_mib=1536, cpu_s=60, whole_s=0.5)
        with pytest.raises(RefusedError, match=r"took longer than 0\.5 s"):
            async with asyncio.timeout(20):
                await renderer.render("a", {"width": 64, "height": 64})
        assert not idle.lives


@pytest.mark.parametrize("kind", ["photo in WebP", "16 bits in PNG", "progressive CMYK in JPEG"])
async def test_an_image_of_48_megapixels_fits_into_the_memory_that_there_is_by_default(kind: str) -> None:
    """W15: 50 are promised, and one in WebP was said to need more memory."""
    size = (8000, 6000)
    match kind:
        case "photo in WebP":
            data = encoded(Image.linear_gradient("L").resize(size).convert("RGB"), "WEBP", method=0)
        case "16 bits in PNG":
            data = encoded(Image.fromarray(np.zeros((size[1], size[0]), np.uint16)), "PNG", compress_level=1)
        case _:
            data = encoded(Image.new("CMYK", size, (9, 99, 0, 0)), progressive=True, subsampling=0)
    by_default = settings.read(dict.fromkeys(_PLACES, "x")).render
    async with Renderer(by_default) as renderer:
        rendered = await renderer.render("a", {"kind": "ingest", "source_key": "x"}, data)
    assert rendered.parts[0].width == 2048


async def test_a_job_over_its_processor_time_is_refused_and_the_next_has_its_own() -> None:
    """W10, W15: such a job takes as long each time, so it is not tried again."""
    heavy = {"width": 4096, "height": 4096, "shapes": 1000}
    async with Renderer(Limits(memory_mib=1536, cpu_s=1)) as renderer:
        with pytest.raises(RefusedError, match="took longer than 1 s of processor time"):
            await renderer.render("a", heavy)
        for _ in range(12):
            await renderer.render("a", {"width": 700, "height": 700})


@pytest.mark.parametrize("text", ["Hello, world!", "a\u200db", "nim\u200cfasele", ""])
def test_a_text_that_the_font_has_is_drawn(text: str) -> None:
    """W15: a joiner and a non-joiner are parts of words."""
    assert picture.read({"text": text}).text == text


@pytest.mark.parametrize(("text", "letter"), [("Gruß", "ß"), ("日", "日"), ("ok 🙂", "🙂")])
def test_a_letter_that_the_font_has_not_is_named(text: str, letter: str) -> None:
    """W15: it was drawn as an empty box."""
    with pytest.raises(BadJobError, match=rf"text: the font has no '{letter}' \(U\+"):
        picture.read({"text": text})


def test_each_file_of_kinds_is_a_kind_and_an_unknown_one_is_refused_with_the_names() -> None:
    """W15"""
    assert {"ingest", "render"} <= set(kinds())
    assert kind_of({}).name == "render"
    with pytest.raises(BadJobError, match=r"kind: 'print' is none of ingest, render"):
        kind_of({"kind": "print"})
