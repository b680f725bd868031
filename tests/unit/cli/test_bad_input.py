"""Files that nobody meant, or that are meant to harm: one sentence with file and line, in bounded time and memory."""

import json
import os
import resource
import subprocess
import sys
from textwrap import indent

import pytest
from typer.testing import CliRunner

from controller.cli.main import application

HEAD = "apiVersion: pointsman.dev/v1alpha1\nkind: Release\nmetadata: {name: shop}\nspec:\n"
COLUMNS = "look,metric,canary_bad,canary_total,stable_bad,stable_total\n"
MIB = 2**20


def bomb(entry):
    """Each line stands for nine times what the line before it stands for."""
    lines = ["a: &a {a1: 1, a2: 2}"]
    for one, below in zip("bcdefghijkl", "abcdefghijk", strict=True):
        lines.append(f"{one}: &{one} {entry.format(', '.join([f'*{below}'] * 9))}")
    return "\n".join(lines) + "\n"


def run_of(method=None, looks=None):
    plan = {"alpha": 0.01, "minBadUnits": 5, "metrics": [{"name": "e", "rollbackAbove": 1.1}]}
    spec = {"page": 0, "method": {**plan, **method} if isinstance(method, dict) else plan if method is None else method}
    status = {"looks": [{"n": 1, "weight": 5, "rows": {"e": [1, 10, 1, 10]}}] if looks is None else looks}
    return json.dumps({"apiVersion": "pointsman.dev/v1alpha1", "kind": "AnalysisRun", "spec": spec, "status": status})


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs a command on a file and gives all it said."""
    monkeypatch.chdir(tmp_path)

    def run(command, name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        more = ("--rate", "50", "--base", "1%") if command == "plan" else ()
        result = CliRunner().invoke(application(), [command, name, *more])
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.exit_code, result.output

    return run


MANIFESTS = {
    "alias bomb": (bomb("[{}]"), "the file stands for more than 100000 values: split it"),
    "alias bomb in a field": (HEAD + indent(bomb("[{}]"), "  "), "the file stands for more than 100000 values"),
    "merge bomb": (bomb("{{<<: [{}]}}"), "the file stands for more than 100000 values"),
    "cycle": (HEAD + "  replicas: &a [*a]\n", "a.yaml:5: spec.replicas[0][0]"),
    "list within itself": ("kind: List\nitems: &a\n- {kind: List, items: *a}\n", "nested deeper than 100 levels"),
    "brackets": ("[" * 1_000_000, "a.yaml:1: is nested deeper than 100 levels"),
    "braces": ('{"a":' * 10_000 + "1" + "}" * 10_000, "a.yaml:1: is nested deeper than 100 levels"),
    "levels": (HEAD + f"  template: {'{a: ' * 900}1{'}' * 900}\n", "is nested deeper than 100 levels"),
    "indentation": ("- " * 1_000_000 + "a", "a.yaml:1: is nested deeper than 100 levels"),
    "nan": (HEAD + "  replicas: .nan\n", "a.yaml:5: spec.replicas: .nan is not a number that the API server can hold"),
    "infinity": (HEAD + "  replicas: -.inf\n", "a.yaml:5: spec.replicas: -.inf is not a number"),
    "1e400": (HEAD + "  replicas: 1e400\n", "a.yaml:5: spec.replicas: 1e400 is not a number"),
    "5,000 digits": (HEAD + f"  replicas: {'1' * 5_000}\n", f"a.yaml:5: spec.replicas: {'1' * 40} is not a number"),
    "beyond 64 bits": (HEAD + f"  replicas: {2**63}\n", f"spec.replicas: {2**63} is not a number"),
    "control character": (b"apiVersion: v1\nkind: \x01x\n", "is not valid YAML: control characters are not allowed"),
    "escape sequence": (HEAD + '  replicas: "\\x1b[31m"\n', r"spec.replicas: '\x1b[31m' is not a whole number"),
    "UTF-16": (HEAD.encode("utf-16"), "a.yaml:1: is UTF-16 or UTF-32: save it as UTF-8"),
    "Latin-1": (HEAD.encode() + b"  replicas: \xe9\n", "a.yaml:5: byte 0xe9 is not UTF-8: save it as UTF-8"),
    "zeros": (b"\0" * 100, "a.yaml:1: is UTF-16"),
    "key that is a list": ("? [a]\n: b\n", "a.yaml:1: a key is a list or an object; it must be a string"),
    "tag": ("a: !!binary aGVsbG8=\n", "a.yaml:1: a: is not valid YAML: the tag binary is not known"),
    "name that is an object": (HEAD.replace("shop", "{a: b}"), "a.yaml:3: metadata.name: must be a string"),
}


READS = [(command, fault) for command in ("validate", "plan") for fault in MANIFESTS]
READS.remove(("plan", "name that is an object"))  # a plan needs no name


@pytest.mark.parametrize(("command", "fault"), READS)
def test_a_manifest_that_cannot_be_meant_gives_a_sentence(call, fault, command):
    content, sentence = MANIFESTS[fault]
    code, output = call(command, "a.yaml", content)
    assert code != 0
    assert sentence in output.replace("pointsman plan: ", "")


def test_what_json_would_carry_is_taken(call):
    code, output = call("validate", "a.yaml", HEAD + "  replicas: 2.0\n  suspend: no\n")
    assert (code, "spec.replicas" in output, "spec.suspend" in output) == (1, False, False)


def test_an_object_with_very_many_problems_names_the_first(call):
    code, output = call("validate", "a.yaml", HEAD + "".join(f"  k{number}: 1\n" for number in range(50_000)))
    assert (code, output.count("is not a known field") <= 20) == (1, True)


RECORDS = {
    "alias bomb": ("a.yaml", bomb("[{}]"), "the file stands for more than 100000 values"),
    "deep JSON": ("a.json", '{"a":' * 10_000 + "1" + "}" * 10_000, "nested"),
    "NaN": ("a.json", '{"kind": NaN}', "is not valid JSON: NaN is not a number"),
    "5,000 digits": ("a.json", f'{{"a": {"1" * 5_000}}}', "is not a number that the API server can hold"),
    "items that are none": ("a.json", '{"kind": "List", "items": 5}', "there is no AnalysisRun in it"),
    "method that is a list": ("a.json", run_of(method=[1]), "spec.method"),
    "metric that is a number": ("a.json", run_of(method={"metrics": [1]}), "spec.method"),
    "ratio of 400 digits": (
        "a.json",
        run_of(method={"metrics": [{"name": "e", "rollbackAbove": 1e300}]}),
        "spec.method",
    ),
    "looks below zero": ("a.json", run_of(method={"looks": -1}), "spec.method.looks: is not between 1 and 1000000"),
    "looks without end": ("a.json", run_of(method={"looks": 10**9}), "spec.method.looks: is not between 1 and 1000000"),
    "looks that are an object": ("a.json", run_of(looks={"a": 1}), "status.looks: must be a list"),
    "look that is a number": ("a.json", run_of(looks=[1]), "status.looks[0]: is not a look: must be an object"),
    "rows that are a list": ("a.json", run_of(looks=[{"n": 1, "rows": [1]}]), "rows: must be an object"),
    "row that is a number": (
        "a.json",
        run_of(looks=[{"n": 1, "rows": {"e": 5}}]),
        "rows.e: 5 are not four whole numbers",
    ),
    "units below zero": ("a.json", run_of(looks=[{"n": 1, "rows": {"e": [-5, 1, 1, 1]}}]), "between 0 and 10^9"),
    "10^12 units": (
        "a.csv",
        COLUMNS + "1,e,1,1000000000000,1,10\n",
        "a.csv:2: canary_total: '1000000000000' is not a whole",
    ),
    "50,000 metrics": ("a.csv", COLUMNS + "".join(f"1,m{n},1,9,1,9\n" for n in range(50_000)), "maximum is 500"),
    "endless field": ("a.csv", COLUMNS + f"1,{'e' * 200_000},1,10,1,10\n", "is not valid CSV: field larger than"),
    "digits of another script": ("a.csv", COLUMNS + "١,e,1,10,1,10\n", "a.csv:2: look: '١' is not a whole number"),
    "Latin-1": ("a.csv", COLUMNS.encode() + b"1,\xe9,1,10,1,10\n", "a.csv:2: byte 0xe9 is not UTF-8"),
}


@pytest.mark.parametrize("fault", RECORDS)
def test_looks_that_cannot_be_meant_give_a_sentence(call, fault):
    name, content, sentence = RECORDS[fault]
    code, output = call("replay", name, content)
    assert code == 2
    assert sentence in output
    assert output.startswith(f"pointsman replay: {name}:")


def test_as_many_units_as_the_sentence_allows_are_judged(call):
    code, output = call("replay", "a.csv", COLUMNS + "1,e,1,1000000000,1,1000000000\n")
    assert code == 0, output


@pytest.mark.parametrize("command", ["validate", "plan", "replay"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, command):
    os.mkfifo(tmp_path / "a.yaml")
    output, _ = measured(command, str(tmp_path / "a.yaml"))
    assert "a.yaml:1: is not a regular file; give - and use standard input" in output


def test_a_folder_and_a_name_that_is_too_long_are_refused(tmp_path):
    (tmp_path / "a.yaml").mkdir()
    assert "cannot be read: is a directory" in measured("plan", str(tmp_path / "a.yaml"), "--rate=1", "--base=1%")[0]
    assert "cannot be read: file name too long" in measured("validate", "a" * 5_000)[0]


def measured(*arguments, stdin=""):
    """What a command says, and the CPU seconds and MiB it takes."""
    program = "import sys; from controller.cli.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = process.communicate(stdin, timeout=120)
    assert "Traceback" not in output
    return output, resource.getrusage(resource.RUSAGE_CHILDREN)


@pytest.mark.parametrize(
    ("command", "name", "content"),
    [
        ("validate", "bomb.yaml", bomb("[{}]")),
        ("validate", "merges.yaml", bomb("{{<<: [{}]}}")),
        ("validate", "documents.yaml", "---\na: 1\n" * 200_000),
        ("validate", "fields.yaml", HEAD + "".join(f"  k{number}: 1\n" for number in range(90_000))),
        ("validate", "100-MB.yaml", 100 * MIB),
        ("replay", "100-MB.csv", 100 * MIB),
        ("replay", "metrics.csv", COLUMNS + "".join(f"1,m{number},1,9,1,9\n" for number in range(90_000))),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(("yaml", "csv")) else "",
)
def test_no_file_takes_more_than_two_seconds_and_200_mib(tmp_path, command, name, content):
    path, empty = tmp_path / name, tmp_path / "empty.yaml"
    empty.touch()
    if isinstance(content, int):
        path.touch()
        os.truncate(path, content)
    else:
        path.write_text(content)
    (usual, _), (seconds, mib) = cost(command, str(empty)), cost(command, str(path))
    assert seconds - usual <= 4, "two seconds, twice that on a machine that is busy with other tests"
    assert mib <= 200


def cost(*arguments):
    """Of a process that has no other child: seconds of CPU, and MiB at the most."""
    program = "import sys; from tests.unit.cli.test_bad_input import tell; tell(sys.argv[1:])"
    told = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True, timeout=120
    )
    seconds, mib = map(float, told.stdout.split())
    return seconds, mib


def tell(arguments):
    _, usage = measured(*arguments)
    sys.stdout.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}")
