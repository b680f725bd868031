"""What is kept of a rejected version's pods: bounded, masked, and the worst first."""

import json

import pytest

from controller.api.pod_evidence import MOST_BYTES
from controller.effects.pod_summary import Log, Read, evidence, logs_of, worst_first

AT = "2026-11-29T12:00:00.000000Z"


def container(name="app", *, restarts=0, ready=False, last=None, state=None):
    return {
        "name": name,
        "restartCount": restarts,
        "ready": ready,
        "state": state or {"running": {}},
        "lastState": {"terminated": last} if last else {},
    }


def pod(name, *containers, init=(), **status):
    found = {"containerStatuses": list(containers), "initContainerStatuses": list(init), **status}
    return {"metadata": {"name": name}, "status": found}


CRASHED = container(
    restarts=4,
    last={"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-29T11:59:00Z", "message": "token=abc"},
    state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
)
READY = container(ready=True)


def kept(pods=(), events=(), text=None, notes=()):
    found = worst_first(pods)
    read = [] if text is None else [Read(log, text) for log in logs_of(found)]
    return evidence(AT, found, events, read, notes)


def test_logs_are_read_of_two_pods_and_two_containers_the_worst_first():
    sidecars = [container(f"c{number}", ready=True) for number in range(5)]
    many = [pod(f"web-{number:03}", *sidecars, READY) for number in range(500)]
    many[317] = pod("web-317", *sidecars, CRASHED)
    logs = logs_of(worst_first(many))
    assert len(logs) == 4
    assert logs[0] == Log("web-317", "app", previous=True)
    assert logs[2] == Log("web-000", "c0", previous=False)


def test_a_container_that_never_ran_has_no_log():
    waiting = container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    found = kept([pod("web-1", waiting)])
    assert logs_of([pod("web-1", waiting)]) == []
    assert found["exits"] == [
        {"pod": "web-1", "container": "app", "restarts": 0, "waiting": "ImagePullBackOff", "message": "no such image"}
    ]


def test_one_that_has_just_ended_is_read_as_it_is():
    ended = container(restarts=1, last={"exitCode": 1}, state={"terminated": {"exitCode": 2, "reason": "Error"}})
    assert logs_of([pod("web-1", ended)]) == [Log("web-1", "app", previous=False)]
    assert kept([pod("web-1", ended)])["exits"][0]["exitCode"] == 2


def test_an_init_container_counts_where_it_failed():
    failed = container("migrate", state={"terminated": {"exitCode": 3, "reason": "Error"}})
    done = container("fetch", state={"terminated": {"exitCode": 0, "reason": "Completed"}})
    starting = container(state={"waiting": {"reason": "PodInitializing"}})
    found = kept([pod("web-1", starting, init=[done, failed])])
    assert [(one["container"], one["exitCode"]) for one in found["exits"]] == [("migrate", 3)]
    assert logs_of([pod("web-1", starting, init=[done, failed])]) == [Log("web-1", "migrate", previous=False)]


def test_how_it_ended_is_kept():
    (found,) = kept([pod("web-1", CRASHED)])["exits"]
    assert found == {
        "pod": "web-1",
        "container": "app",
        "restarts": 4,
        "waiting": "CrashLoopBackOff",
        "reason": "OOMKilled",
        "exitCode": 137,
        "at": "2026-11-29T11:59:00Z",
        "message": "token=[masked]",
    }


def test_a_pod_that_was_evicted_says_why():
    evicted = pod("web-1", reason="Evicted", message="The node was low on resource: memory.", phase="Failed")
    assert kept([evicted])["exits"][0]["reason"] == "Evicted"


def test_the_same_error_counts_as_one_whatever_its_numbers_and_ids():
    lines = [
        f"2026-11-29T12:00:{second:02} ERROR order 8f{second}aa-{second} of shard {second}: timeout"
        for second in range(9)
    ]
    lines += ["INFO served 200", "ValueError: no such friend", "ValueError: no such friend"]
    found = kept([pod("web-1", CRASHED)], text="\n".join(lines))
    assert found["errors"] == [
        {"count": 9, "line": lines[8]},
        {"count": 2, "line": "ValueError: no such friend"},
    ]


def test_errors_and_lines_are_masked_and_harmless_to_a_terminal():
    text = "\x1b]0;owned\x07 error: password=hunter2 of ana@example.com \u202e\x00"
    found = kept([pod("web-1", CRASHED)], text=text)
    (line,) = found["logs"][0]["lines"]
    assert line == found["errors"][0]["line"] == r"\x1b]0;owned error: password=[masked] of [e-mail] \u202e"


@pytest.mark.parametrize(
    "text",
    [
        "error " * 20_000,
        "\n".join(f"error {'x' * 900} {chr(97 + number % 26) * 4}" for number in range(200)),
        "\n".join("\x00\x01\x02" * 300 for _ in range(200)),
        "\n".join("\U0001f4a9" * 300 for _ in range(200)),
        "\n" * 60_000,
    ],
    ids=["one line", "long lines", "binary", "four bytes a letter", "empty lines"],
)
def test_whatever_a_version_prints_it_is_bounded(text):
    pods = [
        pod(f"web-{number}", *(container(f"c{one}", restarts=9, last={"exitCode": 1, "message": text}) for one in "ab"))
        for number in range(30)
    ]
    events = [
        {"reason": f"R{letter}", "message": text, "involvedObject": {"kind": "Pod", "name": "web-1"}}
        for letter in "abcdefghijklmnop"
    ]
    found = kept(pods, events, text, [text] * 30)
    assert len(json.dumps(found, ensure_ascii=False).encode()) <= MOST_BYTES
    assert len(found["exits"]) <= 10
    assert len(found["events"]) <= 10
    for log in found.get("logs", ()):
        assert 0 < len(log["lines"]) <= 20
        assert all(len(line) <= 300 for line in log["lines"])


def test_a_log_that_is_empty_is_said_to_be():
    found = kept([pod("web-1", CRASHED)], text="\n")
    assert found["notKept"] == ["the log of web-1, container app: it is empty"]
    assert "logs" not in found


def test_the_newest_lines_stay():
    found = kept([pod("web-1", CRASHED)], text="\n".join(f"line {number}" for number in range(200)))
    assert found["logs"] == [
        {
            "pod": "web-1",
            "container": "app",
            "lines": [f"line {number}" for number in range(180, 200)],
            "previous": True,
        }
    ]


def test_the_same_event_of_several_pods_is_one():
    def unhealthy(name, count, at):
        about = {"kind": "Pod", "name": name}
        message = f"{name}: Readiness probe failed: 10.0.0.{count}:80 refused"
        return {"reason": "Unhealthy", "message": message, "count": count, "lastTimestamp": at, "involvedObject": about}

    found = kept([], [unhealthy("web-b", 3, "2026-11-29T12:00:02Z"), unhealthy("web-a", 4, "2026-11-29T12:00:01Z")])
    assert found["events"] == [
        {
            "object": "Pod web-b",
            "reason": "Unhealthy",
            "message": "web-b: Readiness probe failed: 10.0.0.3:80 refused",
            "count": 7,
            "at": "2026-11-29T12:00:02Z",
        }
    ]


def test_an_event_about_something_with_an_endless_name_costs_no_other_evidence():
    about = {"kind": "Pod\x1b[2J", "name": "x" * 1_000_000}
    found = kept([], [{"reason": "Odd", "message": "m", "involvedObject": about}])
    assert found["events"][0]["object"].startswith("Pod")
    assert len(found["events"][0]["object"]) <= 300
    assert "\x1b" not in found["events"][0]["object"]
