"""The process that decodes and draws: `python -m workloads.image_worker.render_process`.

It is another process so that a job that hangs or is lost can be killed, so that heartbeats go on while it works, and
so that a file from outside is decoded where there are no credentials, and a limit on memory. One for each slot, and
kept: importing Pillow and numpy takes longer than most jobs.
"""

import hashlib
import io
import json
import math
import os
import resource
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import Image

from workloads.image_worker.confinement import confine
from workloads.image_worker.frames import HEAD, Frame, lengths
from workloads.image_worker.kinds import kind_of, kinds
from workloads.image_worker.perceptual import perceptual_hash
from workloads.image_worker.refusal import BadJobError


def answer(request: Frame) -> Frame:
    try:
        return _done(request)
    except BadJobError as refusal:
        return Frame({"refused": str(refusal)})
    except MemoryError:
        # The same image needs as much the next time.
        return Frame({"refused": "the image needs more memory than a render process may have (RENDER_MEMORY_MIB)"})
    except Exception as problem:  # noqa: BLE001 - a defect in drawing is a failure of the job, not of the process
        return Frame({"error": f"{type(problem).__name__}: {problem}"})


def _done(request: Frame) -> Frame:
    body = request.about["body"]
    kind = kind_of(body)
    images = kind.draw(kind.read(body), request.about["job_id"], request.data)
    parts, data = [], b""
    for name, image in images.items():
        encoded, described = _encoded(image, photo=kind.lossy)
        parts.append({"name": name, **described, "length": len(encoded)})
        data += encoded
    return Frame({"hash": f"{perceptual_hash(images['image']):016x}", "parts": parts}, data)


def _encoded(image: Image.Image, *, photo: bool) -> tuple[bytes, Mapping[str, Any]]:
    out = io.BytesIO()
    if photo and image.mode == "RGB":
        image.save(out, "JPEG", quality=88, optimize=True)
        kind, extension = "image/jpeg", "jpg"
    else:
        image.save(out, "PNG")
        kind, extension = "image/png", "png"
    data = out.getvalue()
    return data, {
        "content_type": kind,
        "extension": extension,
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def serve(requests: BinaryIO, answers: BinaryIO, *, seconds: int) -> None:
    """Until the other side closes. SIGXCPU ends a job of more than so many seconds of processor time."""
    while len(head := requests.read(HEAD)) == HEAD:
        about, data = lengths(head)
        request = Frame(json.loads(requests.read(about)), requests.read(data))
        _limit_cpu(seconds)
        answers.write(answer(request).encode())
        answers.flush()


def _limit_cpu(seconds: int) -> None:
    """From now on. No signal handler would be called while a decoder runs, so the signal kills."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, resource.RLIM_INFINITY)
    )


def main() -> None:
    memory, seconds = int(sys.argv[1]) * 2**20, int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.init()  # what is imported later may need files that can no longer be read
    kinds()
    confine()
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # a print would stand in the middle of an image
    try:
        serve(sys.stdin.buffer, answers, seconds=seconds)
    except BrokenPipeError:  # the worker was killed: nobody waits for the answer
        os._exit(0)


if __name__ == "__main__":
    main()
