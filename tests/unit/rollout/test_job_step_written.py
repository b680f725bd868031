"""What may be written in a `job` step."""

import pytest

from controller.api.fields import Place
from controller.api.fields import parse as read
from controller.api.reading import SpecError
from controller.rollout.steps.job import Job

TEMPLATE = {"spec": {"containers": [{"name": "smoke", "image": "smoke:1"}]}}


def parse(**fields):
    return read(Job, fields, Place("step.job"))


def container(**fields):
    return {"spec": {"containers": [{"name": "smoke", "image": "smoke:1", **fields}]}}


def test_defaults():
    assert parse(template=TEMPLATE) == Job(TEMPLATE, at_most=600.0, retries=0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "step.job.template: is required"),
        ({"template": {"spec": {}}}, "step.job.template.spec.containers: needs at least one container"),
        ({"template": TEMPLATE, "atMost": "0s"}, "step.job.atMost: is not between 1s and 24h"),
        ({"template": TEMPLATE, "retries": -1}, "step.job.retries: -1 is not between 0 and 10"),
        ({"template": TEMPLATE, "backoffLimit": 1}, "step.job.backoffLimit: is not a known field"),
        (
            {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "OnFailure"}}},
            "step.job.template.spec.restartPolicy: 'OnFailure' is not Never: retries says",
        ),
        (
            {"template": container(env=[{"name": "A"}, {"name": "POINTSMAN_SERVICE", "value": "x"}])},
            "step.job.template.spec.containers[0].env[1].name: Pointsman sets the variables that begin with POINTSMAN_",
        ),
        (
            {"template": {**TEMPLATE, "metadata": {"labels": {"pointsman.dev/revision": "v1"}}}},
            "step.job.template.metadata.labels: 'pointsman.dev/revision': labels of pointsman.dev are Pointsman's own",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_path(fields, said):
    with pytest.raises(SpecError) as error:
        parse(**fields)
    assert str(error.value).startswith(said)
