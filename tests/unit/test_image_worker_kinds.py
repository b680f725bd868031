"""A kind of one's own, as the README shows it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workloads.image_worker.cli import app

CHECKOUT = Path(__file__).resolve().parents[2]
_DRAWS = """
import io, json, sys
from PIL import Image
from workloads.image_worker.frames import Frame
from workloads.image_worker.render_process import answer
told = answer(Frame({"job_id": "s1", "body": json.loads(sys.argv[1])}))
print(json.dumps(told.about))
if "parts" in told.about:
    print(Image.open(io.BytesIO(told.data)).getpixel((9, 9)))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """With the README's kind in it."""
    text = (CHECKOUT / "workloads/image_worker/README.md").read_text()
    [example] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shutil.copytree(CHECKOUT / "workloads", tmp_path / "workloads", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "workloads/image_worker/kinds/swatch.py").write_text(example)
    return tmp_path


def python(checkout: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_the_readmes_kind_is_found_and_drawn_without_another_line(checkout: Path) -> None:
    """W15"""
    told, color = python(checkout, "-c", _DRAWS, '{"kind": "swatch", "color": "#ff8800"}').splitlines()
    assert json.loads(told)["parts"][0]["content_type"] == "image/png"
    assert color == "(255, 136, 0)"
    refused = python(checkout, "-c", _DRAWS, '{"kind": "swatch", "color": "nice"}')
    assert json.loads(refused) == {"refused": "color: 'nice' is not a color such as #ff8800"}


def test_enqueue_refuses_a_body_that_the_kind_refuses(checkout: Path, tmp_path: Path) -> None:
    """W21"""
    body = tmp_path / "body.json"
    body.write_text('{"color": 7}')
    asked = ("enqueue", "--kind", "swatch", "--body", str(body))
    assert "color: 7 is not a color" in python(checkout, "-m", "workloads.image_worker.cli", *asked)


@pytest.mark.parametrize(
    ("arguments", "content", "says"),
    [
        (["--kind", "render"], "{}", "give the job's body too"),
        (["--kind", "print", "--body", "-"], "{}", "kind: 'print' is none of ingest, render"),
        (["--body", "-"], '{"width": 1}', "width: 1 is not"),
        (["--body", "-"], "[]", "must be a JSON object"),
        (["--body", "-"], "no", "Expecting value"),
    ],
)
def test_a_wrong_body_is_named_before_anything_is_sent(arguments: list[str], content: str, says: str) -> None:
    """W21"""
    shown = CliRunner().invoke(app, ["enqueue", *arguments], input=content)
    assert shown.exit_code == 2
    assert says in " ".join(shown.output.replace("│", " ").split())


def test_a_file_without_a_kind_is_named(checkout: Path) -> None:
    """W15"""
    (checkout / "workloads/image_worker/kinds/empty.py").write_text("")
    said = python(checkout, "-c", "from workloads.image_worker.kinds import kinds; kinds()")
    assert "kinds/empty.py: KIND must be a Kind" in said
