"""`pointsman validate` and `pointsman crd`, as a person calls them."""

import json
from textwrap import dedent

import pytest
import typer
import yaml
from typer.testing import CliRunner

import crds
from controller import registry
from controller.cli import offline
from tests import golden


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    offline.register(app)

    def call(*arguments, stdin=None):
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return call


@pytest.fixture
def written(tmp_path):
    """Writes a manifest; its objects may be dictionaries or text."""

    def write(name, *documents):
        texts = [one if isinstance(one, str) else yaml.safe_dump(one, sort_keys=False) for one in documents]
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("---\n".join(texts))
        return name

    return write


def lines(result):
    return result.stdout.splitlines()


TEMPLATE = golden.own("MetricTemplate", "http-errors", {"language": "flux", "query": "from(bucket: {{ bucket }})"})
INFLUX = {
    "url": "http://influxdb.monitoring:8086",
    "org": "example",
    "bucket": "metrics",
    "tokenSecretRef": {"name": "influxdb"},
}
SOURCE = golden.own("MetricSource", "default", {"influxdb": INFLUX})


def within(namespace, raw):
    return {**raw, "metadata": {**raw["metadata"], "namespace": namespace}}


def measured(template="http-errors", **parameters):
    metric = {"name": "errors", "template": template, "parameters": parameters}
    return golden.release(analysis={"metrics": [metric]})


def template(query, *parameters, **spec):
    spec = {"language": "flux", "query": query, "parameters": list(parameters), **spec}
    return golden.own("MetricTemplate", "http-errors", spec)


@pytest.mark.parametrize("file", golden.valid(), ids=lambda file: file.stem)
def test_what_the_api_server_accepts_has_no_problems(run, file):
    result = run("validate", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("1 checked, 0 problems, ")


@pytest.mark.parametrize("word", registry.modules("steps"))
def test_each_step_type_has_an_example_that_has_no_problems_with_the_library(run, word):
    file = golden.STEPS / f"{word}.yaml"
    (strategy,) = golden.load(file)["spec"]["strategy"].values()
    assert any(word in step for step in strategy["steps"])
    result = run("validate", str(file), str(golden.STEPS.parent / "library"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "not checked" not in result.stderr


@pytest.mark.parametrize("case", golden.invalid(), ids=lambda case: case.file.stem)
def test_what_the_api_server_refuses_is_said_beforehand(run, case):
    assert case.validate is not None
    result = run("validate", str(case.file))
    assert result.exit_code == 1
    said = [line.removeprefix(f"{case.file}:").partition(": ") for line in lines(result)]
    assert any(problem.startswith(case.validate) for _, _, problem in said), result.stdout
    assert all(1 <= int(line) <= len(case.file.read_text().splitlines()) for line, _, _ in said)


def test_a_problem_has_its_file_line_and_field(run, written):
    text = """\
        # a comment
        apiVersion: pointsman.dev/v1alpha1
        kind: Release
        metadata:
          name: shop
        spec:
          template:
            spec:
              containers:
              - name: web
                image: example.com/web:1
          traffic:
            replicas: {}
          service: {ports: [{port: 80}]}
          strategy:
            canary:
              steps:
              - weight: 5
              - {approve: {},
                 pause: {for: 1m}}
              - weight: 140
          drain:
            quiet: soon
        """
    written("a.yaml", "kind: ConfigMap\napiVersion: v1\n", dedent(text))
    kinds = ", ".join(registry.modules("steps"))
    assert lines(run("validate", "a.yaml")) == [
        f"a.yaml:22: spec.strategy.canary.steps[1]: needs exactly one of {kinds}; found approve, pause",
        "a.yaml:24: spec.strategy.canary.steps[2].weight: 140 is not between 0 and 100",
        "a.yaml:26: spec.drain.quiet: 'soon' is not a duration such as 90s, 10m or 1h30m",
    ]


def test_a_missing_field_is_said_at_the_line_of_what_lacks_it(run, written):
    written("a.yaml", golden.own("ReleaseAction", "go", {"release": "shop", "action": "approve"}))
    assert lines(run("validate", "a.yaml")) == ["a.yaml:5: spec.revision: is required"]


def test_folders_are_searched_and_other_kinds_counted(run, written):
    written("deploy/release.yaml", golden.release())
    written("deploy/base/rest.yml", {"apiVersion": "v1", "kind": "Service"}, {"apiVersion": "v1", "kind": "Secret"})
    written("deploy/source.json", json.dumps(SOURCE))
    written("deploy/notes.txt", "no YAML: at all: {")
    result = run("validate", "deploy")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "2 checked, 0 problems, 2 of other kinds skipped.\n"


def test_standard_input_is_read_for_a_dash(run):
    result = run("validate", "-", stdin=yaml.safe_dump(golden.release("Shop")))
    (line,) = lines(result)
    assert line.startswith(
        "stdin:4: metadata.name: 'Shop' is not a valid Service name: lower-case letters, digits and dashes"
    )


def test_a_list_is_what_is_in_it(run, written):
    written("a.yaml", {"apiVersion": "v1", "kind": "List", "items": [golden.release(), golden.release(replicas=-1)]})
    assert "a.yaml:34: spec.replicas: -1 is not between 0 and 10000" in lines(run("validate", "a.yaml"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1\nb: 2\n", "a.yaml:2: is not valid YAML: "),
        ("a: 1\na: 2\n", "a.yaml:2: duplicate key 'a'"),
        ("- 1\n", "a.yaml:1: is not a Kubernetes object"),
        ("just text\n", "a.yaml:1: is not a Kubernetes object"),
        ("a: !!python/object:os.system {}\n", "a.yaml:1: a: is not valid YAML: the tag "),
        (
            "apiVersion: pointsman.dev/v1\nkind: Release\n",
            "a.yaml:1: apiVersion: 'pointsman.dev/v1' is not pointsman.dev/v1alpha1",
        ),
        (
            "kind: Relaese\napiVersion: pointsman.dev/v1alpha1\n",
            "a.yaml:1: kind: 'Relaese' is not one of AnalysisRun, ",
        ),
        ("apiVersion: pointsman.dev/v1alpha1\nkind: Release\nspec: []\n", "a.yaml:3: spec: must be an object, not []"),
        ("apiVersion: pointsman.dev/v1alpha1\nkind: Release\nmetadata: []\n", "a.yaml:3: metadata.name: is required"),
        ("apiVersion: pointsman.dev/v1alpha1\nkind: Release\nspec: null\n", "a.yaml:3: spec: is required"),
        ("apiVersion: pointsman.dev/v1alpha1\nkind: Release\n1: 2\n", "a.yaml:3: 1: is not a known field"),
    ],
)
def test_what_is_hardly_a_manifest_is_said_too(run, written, text, sentence):
    written("a.yaml", text)
    result = run("validate", "a.yaml")
    assert result.exit_code == 1
    assert any(line.startswith(sentence) for line in lines(result)), result.stdout


def test_a_broken_file_does_not_hide_the_others(run, written):
    written("a.yaml", "a: [1\n")
    written("b.yaml", golden.release(replicas=-1))
    assert [line.partition(":")[0] for line in lines(run("validate", "a.yaml", "b.yaml"))] == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("example.com/web", "'example.com/web' has no tag, which means latest"),
        ("localhost:5000/web", "'localhost:5000/web' has no tag, which means latest"),
        ("web:latest", "'web:latest' is a tag that moves"),
        ("", "is required: the image, by digest or by a tag that does not move"),
    ],
)
def test_images_that_move_are_refused(run, written, image, problem):
    raw = golden.release()
    raw["spec"]["template"]["spec"]["initContainers"] = [{"name": "first", "image": image}]
    written("a.yaml", raw)
    (line,) = lines(run("validate", "a.yaml"))
    assert f"spec.template.spec.initContainers[0].image: {problem}" in line


def a_job(**fields):
    return {"blueGreen": {"steps": [{"approve": {}}, {"job": {"template": {"spec": {"containers": [fields]}}}}]}}


@pytest.mark.parametrize(
    ("container", "problem"),
    [
        ({"name": "smoke", "image": "smoke"}, "[0].image: 'smoke' has no tag, which means latest"),
        ({"name": "smoke", "image": "smoke:1", "comand": []}, "[0].comand: is not a known field"),
        ({"image": "smoke:1"}, "[0].name: is required"),
    ],
)
def test_the_pods_of_jobs_are_checked_like_the_releases_own(run, written, container, problem):
    written("a.yaml", golden.release(strategy=a_job(**container)))
    (line,) = lines(run("validate", "a.yaml"))
    assert f"spec.strategy.blueGreen.steps[1].job.template.spec.containers{problem}" in line


@pytest.mark.parametrize(
    "image", ["web:1", "example.com:5000/a/web:1.2@sha256:0", "web@sha256:0", "web:latest@sha256:0"]
)
def test_images_that_stay_are_fine(run, written, image):
    raw = golden.release()
    raw["spec"]["template"]["spec"]["containers"][0]["image"] = image
    written("a.yaml", raw)
    assert run("validate", "a.yaml").exit_code == 0


def test_weights_that_shrink_in_fractions_are_seen_though_the_api_server_cannot(run, written):
    steps = [{"weight": "5%"}, {"weight": "0.5%"}]
    written("a.yaml", golden.release(strategy={"canary": {"steps": steps}}))
    assert "spec.strategy.canary.steps[1].weight: 0.5 is less" in run("validate", "a.yaml").stdout


def test_the_same_object_twice_is_said_with_both_places(run, written):
    written("a.yaml", golden.release())
    written("b.yaml", golden.release(), within("other", golden.release()))
    assert lines(run("validate", "a.yaml", "b.yaml")) == [
        "b.yaml:4: metadata.name: duplicate Release shop, first at a.yaml:4"
    ]


def test_as_json_everything_is_one_object(run, written):
    written("a.yaml", within("shop", golden.release(replicas=-1)), {"apiVersion": "v1", "kind": "Service"})
    result = run("validate", "--output", "json", "a.yaml")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "checked": 1,
        "skipped": 1,
        "problems": [
            {
                "file": "a.yaml",
                "line": 17,
                "object": "Release shop/shop",
                "path": "spec.replicas",
                "problem": "-1 is not between 0 and 10000",
                "severity": "error",
            }
        ],
        "unknown": [],
        "left_out": [],
    }


@pytest.mark.parametrize("arguments", [["validate"], ["validate", "gone.yaml"], ["validate", "--output", "xml", "."]])
def test_wrong_use_is_2(run, arguments):
    assert run(*arguments).exit_code == 2


def test_the_crds_are_printed_for_kubectl(run):
    result = run("crd")
    assert result.exit_code == 0
    assert list(yaml.load_all(result.stdout, Loader=yaml.CSafeLoader)) == crds.definitions()
    assert [one["metadata"]["name"] for one in crds.definitions()] == [
        "analysisruns.pointsman.dev",
        "metricsources.pointsman.dev",
        "metrictemplates.pointsman.dev",
        "releaseactions.pointsman.dev",
        "releaserepositories.pointsman.dev",
        "releases.pointsman.dev",
    ]


def test_one_crd_is_printed_by_its_name(run):
    printed = run("crd", "--name", "releases").stdout
    assert yaml.load(printed, Loader=yaml.CSafeLoader)["metadata"]["name"] == "releases.pointsman.dev"
    result = run("crd", "--name", "relaeses")
    assert result.exit_code == 2
    assert result.stderr.startswith("pointsman crd: there is no CRD 'relaeses'; there are: analysisruns, ")


def test_what_was_written_fits_its_own_help(run):
    for command in ("crd", "validate"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert f"pointsman {command}" in result.stdout
