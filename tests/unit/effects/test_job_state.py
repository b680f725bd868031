"""What is a verdict about the version, and what is not."""

import pytest

from controller.api.job import JobState, job_name
from controller.effects.job_state import last_lines, latest, seen_of

START = {"name": "smoke", "state": {"waiting": {"reason": "ContainerCreating"}}}
RUNS = {"name": "smoke", "state": {"running": {}}}
NODE_LOST = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}


def exited(code, reason="Error", **more):
    return {"name": "smoke", "state": {"terminated": {"exitCode": code, "reason": reason, **more}}}


def waits(reason, message):
    return {"name": "smoke", "state": {"waiting": {"reason": reason, "message": message}}}


def pod(*containers, phase="Failed", made="1", leaving=False, **status):
    metadata = {"name": f"web-job-{made}", "creationTimestamp": made}
    metadata |= {"deletionTimestamp": "now"} if leaving else {}
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": list(containers), **status}}


def job(*conditions, retries=0):
    met = [{"type": one, "status": "True"} for one in conditions]
    return {"spec": {"backoffLimit": retries}, "status": {"conditions": met}}


@pytest.mark.parametrize(
    ("pods", "state"),
    [
        ([], JobState.STARTING),
        ([pod(START, phase="Pending")], JobState.STARTING),
        ([pod(RUNS, phase="Running")], JobState.RUNNING),
        ([pod(RUNS, phase="Running", leaving=True)], JobState.STARTING),
        ([pod(exited(1)), pod(START, phase="Pending", made="2")], JobState.STARTING),
    ],
)
def test_one_that_is_not_over(pods, state):
    assert seen_of(job(), pods).state is state


def test_one_that_succeeded():
    assert seen_of(job("Complete"), []).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            pod(waits("ImagePullBackOff", "no such image"), phase="Pending"),
            "cannot start: container smoke: no such image (ImagePullBackOff)",
        ),
        (
            pod(waits("CreateContainerConfigError", 'secret "db" not found'), phase="Pending"),
            'cannot start: container smoke: secret "db" not found (CreateContainerConfigError)',
        ),
        (
            pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]),
            "cannot start: web-job-1 cannot be scheduled: 0/1 nodes",
        ),
        (
            pod(waits("ErrImagePull", "no"), phase="Pending", initContainerStatuses=[exited(0, "Completed")]),
            "cannot start: container smoke: no (ErrImagePull)",
        ),
    ],
)
def test_one_that_cannot_start_says_why(one, said):
    seen = seen_of(job(), [one])
    assert (seen.state, seen.message, seen.again) == (JobState.BLOCKED, said, False)


def test_an_exit_code_is_a_verdict_and_names_the_log():
    seen = seen_of(job("Failed"), [pod(exited(3))])
    assert (seen.state, seen.message) == (JobState.FAILED, "container smoke of web-job-1 ended with exit code 3")
    assert seen.log == ("web-job-1", "smoke")


def test_a_reason_and_a_last_message_are_told_without_what_is_secret():
    seen = seen_of(job("Failed"), [pod(exited(137, "OOMKilled", message="token=sesame"))])
    assert seen.message == "container smoke of web-job-1 ended with exit code 137 (OOMKilled): token=[masked]"


def test_of_several_tries_the_last_is_told():
    tries = [pod(exited(1)), pod(exited(2), made="2")]
    assert seen_of(job("Failed", retries=1), tries).message.startswith("container smoke of web-job-2 ended with")


@pytest.mark.parametrize("containers", [[RUNS], [exited(137)], [exited(0, "Completed"), exited(143)]])
def test_a_deadline_is_a_verdict_once_a_container_has_started(containers):
    late = pod(*containers, reason="DeadlineExceeded", message="Pod was active on the node longer than")
    seen = seen_of(job("Failed"), [late])
    assert (seen.state, seen.log) == (JobState.LATE, ("web-job-1", "smoke"))


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([], id="its pods are gone"),
        pytest.param([pod(exited(137), conditions=[NODE_LOST])], id="a node that was lost"),
        pytest.param([pod(reason="Evicted", message="The node was low on resource: memory")], id="an eviction"),
        pytest.param([pod(exited(143), reason="Terminated")], id="a node that shut down"),
        pytest.param([pod(reason="OutOfcpu")], id="a node without room"),
        pytest.param([pod(exited(143), leaving=True)], id="deleted by hand"),
        pytest.param([pod(exited(128, "StartError", message='exec: "smoek": not found'))], id="no such command"),
        pytest.param([pod(exited(137, "ContainerStatusUnknown"))], id="a container nobody knows of"),
        pytest.param([pod(START, reason="DeadlineExceeded")], id="a deadline before the start"),
        pytest.param([pod(waits("ErrImagePull", "no"), reason="DeadlineExceeded")], id="a deadline without its image"),
    ],
)
def test_what_says_nothing_about_the_version_is_no_verdict_and_runs_again(pods):
    seen = seen_of(job("Failed"), pods)
    assert (seen.state, seen.again) == (JobState.BLOCKED, True)


def test_too_few_tries_that_ran_are_no_verdict():
    tries = [pod(exited(1)), pod(reason="Evicted", made="2")]
    assert seen_of(job("Failed", retries=1), tries).again


def test_a_command_that_is_not_there_is_named():
    seen = seen_of(job("Failed"), [pod(exited(128, "StartError", message='exec: "smoek": not found'))])
    assert seen.message == 'cannot start: container smoke: exec: "smoek": not found (StartError); it is tried again'


def test_last_lines_are_few_and_hide_what_is_secret():
    assert last_lines("a\n\nb\nGET /?token=sesame\n\x1b[31mc\n") == "b / GET /?token=[masked] / c"
    assert len(last_lines("x " * 50_000)) <= 1024


def test_the_latest_event_is_told():
    events = [{"message": "old", "lastTimestamp": "1"}, {"message": "exceeded quota", "eventTime": "2"}]
    assert latest(events) == "exceeded quota"
    assert latest([]) == ""


def test_a_name_is_the_same_for_whoever_leads_and_fits():
    long = job_name("a" * 52, "job.x.1.0.1")
    assert job_name("a" * 52, "job.x.1.0.1") == long
    assert len(long) <= 63
    assert len({long, job_name("a" * 51 + "b", "job.x.1.0.1"), job_name("a" * 52, "job.x.2.0.1")}) == 3
