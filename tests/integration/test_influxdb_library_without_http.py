"""Shipped templates that count something else than answers: jobs, clients, restarts, CPU, log lines, sign-ups."""

from controller.ports import Window
from controller.providers.rendering import Renderer
from tests.integration.influx_library import ask, between, requests, seconds
from tests.integration.influx_server import LOOK, Server, by_revision

pytest_plugins = ["tests.integration.influx_fixture"]


async def test_job_failures_counts_first_attempts_for_the_version_that_made_them(
    running: Server, renderer: Renderer
) -> None:
    stable, canary = "jobsjobsjs", "jobsjobsjc"

    def outcome(revision: str, first: int, failed: int, pod: str = "p", service: str = "web") -> str:
        return (
            f"job.outcome,service={service},revision={revision},pod={pod} "
            f"first_attempts={first}i,first_attempt_failed={failed}i,needed_more=0i,completed={first}i,dead_lettered=0i"
        )

    running.write(
        outcome(stable, 90, 2),
        outcome(stable, 5, 0, pod="q"),
        outcome(canary, 7, 3),
        outcome(canary, 1000, 1000, service="other"),
        outcome("otherother", 1000, 1000),
    )
    result = await ask(running, renderer, "job-failures", between(stable, canary))
    assert by_revision(result) == {stable: (2, 95), canary: (3, 7)}


async def test_job_duration_counts_first_attempts_that_are_slower_than_the_threshold(
    running: Server, renderer: Renderer
) -> None:
    stable, canary = "slowslowss", "slowslowsc"

    def took(revision: str, count: int, quick: int, attempt: str = "first") -> str:
        tags = f"service=web,revision={revision},pod=p,attempt={attempt},result=completed"
        return f"messaging.process.duration,{tags} count={count}i,le_1={quick}i,le_2.5={count}i,sum=1.0"

    running.write(took(stable, 50, 49), took(canary, 9, 5), took(canary, 100, 0, attempt="later"))
    result = await ask(running, renderer, "job-duration", between(stable, canary))
    assert by_revision(result) == {stable: (1, 50), canary: (4, 9)}
    slower = await ask(running, renderer, "job-duration", between(stable, canary), parameters={"threshold": 2.5})
    assert by_revision(slower) == {stable: (0, 50), canary: (0, 9)}


async def test_client_failures_counts_each_client_of_a_version(running: Server, renderer: Renderer) -> None:
    stable, canary = "clienclies", "cliencliec"

    def outcome(revision: str, total: int, bad: int, pod: str = "p", service: str = "web") -> str:
        return f"client.outcome,service={service},revision={revision},pod={pod} total={total}i,bad={bad}i"

    running.write(
        outcome(stable, 90, 2),
        outcome(stable, 5, 0, pod="q"),
        outcome(canary, 7, 3, pod="q"),  # told of by stable's pod
        outcome(canary, 1000, 1000, service="other"),
        outcome("otherother", 1000, 1000),
    )
    result = await ask(running, renderer, "client-failures", between(stable, canary))
    assert by_revision(result) == {stable: (2, 95), canary: (3, 7)}


def pod_container(pod: str, field: str, namespace: str = "shop") -> str:
    """A point of Telegraf's, without its time."""
    return f"kubernetes_pod_container,namespace={namespace},pod_name={pod},container_name=main,node_name=n {field}"


async def test_restarts_are_counted_among_requests(running: Server, renderer: Renderer) -> None:
    stable, canary = "restartsta", "restartcan"
    steady, failing = f"web-{stable}-5d4f-x2x2x", f"web-{canary}-5d4f-x2x2x"
    for second, count in ((-1, 0), (1, 1), (4, 3), (5, 9)):
        running.write(pod_container(failing, f"restarts_total={count}i"), at=seconds(second))
        running.write(pod_container(f"my-{failing}", f"restarts_total={count}i"), at=seconds(second))
        running.write(pod_container(failing, f"restarts_total={count}i", "bank"), at=seconds(second))
        running.write(pod_container(steady, "restarts_total=7i"), at=seconds(second))
    running.write(requests(stable, 90), requests(canary, 7), requests("otherother", 1000))
    found = await ask(running, renderer, "restarts", between(stable, canary))
    assert by_revision(found) == {stable: (0, 90), canary: (3, 10)}


async def test_cpu_per_request_counts_whole_ticks_that_add_up_over_a_reset(running: Server, renderer: Renderer) -> None:
    stable, canary = "cpucpucpus", "cpucpucpuc"
    used = {-1: 10_000, 1: 10_350, 3: 10_990, 4: 120, 6: 470, 9: 1_010}  # milliseconds; the container was made anew
    for second, milliseconds in used.items():
        point = pod_container(f"web-{stable}-5d4f-x2x2x", f"cpu_usage_core_nanoseconds={milliseconds * 10**6}i")
        running.write(point, at=seconds(second))
    running.write(requests(stable, 90), requests(canary, 7))
    looks = [LOOK, Window(LOOK.end, seconds(10)), Window(LOOK.start, seconds(10))]
    found = [
        by_revision(await ask(running, renderer, "cpu-per-request", between(stable, canary), window=look))
        for look in looks
    ]
    assert [one[stable] for one in found] == [(9 + 1, 100), (3 + 6, 9), (19, 109)]
    assert found[0][canary] == (0, 7)


async def test_log_errors_counts_lines_by_their_level(running: Server, renderer: Renderer) -> None:
    stable, canary = "loglogstab", "loglogcana"

    def lines(revision: str, level: str, count: int) -> str:
        return f"log.messages,service=web,revision={revision},level={level} count={count}i"

    running.write(lines(stable, "info", 90), lines(canary, "warning", 4), lines(canary, "Error", 3))
    running.write(f"log.messages,service=web,revision={stable} count=5i")  # a line without a level
    found = await ask(running, renderer, "log-errors", between(stable, canary))
    assert by_revision(found) == {stable: (0, 95), canary: (3, 7)}


async def test_sign_ups_counts_those_that_did_not_come(running: Server, renderer: Renderer) -> None:
    stable, canary = "signupstab", "signupcana"
    running.write(
        f"invitation.outcome,service=web,revision={stable} sent=40i,signed_up=9i",
        f"invitation.outcome,service=web,revision={canary} sent=10i,signed_up=0i",
    )
    found = await ask(running, renderer, "examples/sign-ups", between(stable, canary))
    assert by_revision(found) == {stable: (31, 40), canary: (10, 10)}
