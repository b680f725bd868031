"""The evidence of a rejected version's pods, as the outbox has it read: whatever hangs, is forbidden, or is gone."""

import asyncio
from typing import Any

import pytest

from controller.api.effect import Effect
from controller.api.resources import EVENTS, PODS, RELEASES
from controller.effects import pod_evidence as module
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError
from controller.effects.pod_evidence import EXAMPLE, PodEvidence
from controller.kube.client import InvalidError, NotFoundError, UnavailableError
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from controller.rollout.pod_evidence import WAIT_S
from tests.unit.effects.calling import no_api_server
from tests.unit.effects.test_pod_summary import CRASHED, pod

WEB = Key("shop", "web")
EFFECT = Effect("podEvidence.bbbbbbbbbb.3", "podEvidence", EXAMPLE)
FORBIDDEN = InvalidError(403, "Forbidden", 'pods "x" is forbidden')


class Content:
    def __init__(self, pieces):
        self._pieces = pieces

    async def iter_any(self):
        for piece in self._pieces:
            yield piece


class Log:
    def __init__(self, pieces):
        self.content, self.closed = Content(pieces), False

    def close(self):
        self.closed = True


class Cluster:
    """An API server with the pods of one version. `logs` and `events` may be errors, or what never answers."""

    def __init__(self, pods=None, logs=b"ValueError: 7\n", events=()):
        self.pods = [pod("web-bbbbbbbbbb-x", CRASHED)] if pods is None else pods
        self.logs, self.events = logs, events
        self.release: dict[str, Any] | None = {"metadata": {"name": "web", "namespace": "shop", "uid": "u"}}
        self.asked, self.opened = [], []

    async def find(self, resource, namespace, name):
        assert (resource, namespace, name) == (RELEASES, "shop", "web")
        return self.release

    async def first_page(self, resource, namespace, *, labels, fields, most):
        assert (namespace, resource in (PODS, EVENTS)) == ("shop", True)
        if resource == PODS:
            if isinstance(self.pods, Exception):
                raise self.pods
            return self.pods[:most], len(self.pods) > most
        return list(await answered(self.events)), False

    async def stream(self, path, query, *, timeout_s):
        self.asked.append((path, dict(query)))
        found = await answered(self.logs)
        most = int(query["limitBytes"])
        self.opened.append(Log([found[at : at + 4096] for at in range(0, len(found), 4096)][: most // 4096 + 2]))
        return self.opened[-1]


async def answered(what):
    if what is HANGS:
        await asyncio.Event().wait()
    if isinstance(what, Exception):
        raise what
    return what


HANGS = object()


class Records:
    def __init__(self, kept=None, error=None) -> None:
        self.kept, self.error = kept, error
        self.owner: Any = None
        self.rejected: Any = None

    async def has_pod_evidence(self, namespace, name, rejected):
        return self.kept is not None

    async def keep_pod_evidence(self, namespace, name, rejected, evidence, *, owner):
        assert (namespace, name) == ("shop", "web")
        if self.error is not None:
            raise self.error
        self.kept, self.owner, self.rejected = dict(evidence), owner, rejected


async def read(cluster, records=None):
    records = records or Records()
    context = EffectContext(cluster, Addresses(no_api_server), lambda: 1_800_000_000.0, records)
    await PodEvidence(context).carry_out(WEB, EFFECT)
    return records.kept


async def test_it_is_kept_in_the_attempts_record():
    records = Records()
    kept = await read(Cluster(), records)
    assert kept["errors"] == [{"count": 1, "line": "ValueError: 7"}]
    assert "notKept" not in kept
    assert records.owner["uid"] == "u"
    assert (records.rejected.revision, records.rejected.attempt) == ("bbbbbbbbbb", 3)


async def test_what_the_job_said_that_rejected_it_is_kept_before_all_else():
    class WithJob(Cluster):
        async def first_page(self, resource, namespace, *, labels, fields, most):
            if resource == PODS and labels.startswith("batch.kubernetes.io/job-name=web-job-"):
                return [ended("web-job-1", "1"), ended("web-job-2", "2")], False
            return await super().first_page(resource, namespace, labels=labels, fields=fields, most=most)

    def ended(name, made):
        state = {"terminated": {"exitCode": 3, "reason": "Error"}}
        status = {"phase": "Failed", "containerStatuses": [{"name": "smoke", "ready": False, "state": state}]}
        return {"metadata": {"name": name, "creationTimestamp": made}, "status": status}

    cluster: Any = WithJob()
    records = Records()
    context = EffectContext(cluster, Addresses(no_api_server), lambda: 1_800_000_000.0, records)
    await PodEvidence(context).carry_out(WEB, Effect("x", "podEvidence", {**EXAMPLE, "job": "job.bbbbbbbbbb.3.0.1"}))
    assert records.kept["exits"][0] == {
        "pod": "web-job-2", "container": "smoke", "restarts": 0, "reason": "Error", "exitCode": 3,
    }  # fmt: skip
    assert [(log["pod"], log["container"]) for log in records.kept["logs"]] == [
        ("web-job-2", "smoke"), ("web-bbbbbbbbbb-x", "app"),
    ]  # fmt: skip
    assert records.kept["pods"] == 1


async def test_it_is_read_once_whoever_leads_then():
    cluster = Cluster()
    assert await read(cluster, Records(kept={"at": "x"})) == {"at": "x"}
    assert cluster.asked == []


async def test_of_500_pods_four_logs_are_read_and_each_is_let_go():
    cluster = Cluster([pod(f"web-{number:03}", CRASHED, CRASHED) for number in range(500)])
    kept = await read(cluster)
    assert len(cluster.asked) == 4
    assert all(log.closed for log in cluster.opened)
    assert kept["notKept"] == ["only 30 of the pods were looked at"]
    assert all(query["tailLines"] and query["limitBytes"] and query["previous"] for _, query in cluster.asked)


async def test_of_lines_of_a_megabyte_the_newest_few_are_asked_for():
    """The kubelet ends where the bytes end, which is before the newest line."""
    cluster = Cluster(logs=b"error " * 200_000)
    kept = await read(cluster)
    assert [query["tailLines"] for _, query in cluster.asked] == ["200", "3"]
    assert len(kept["logs"][0]["lines"][0]) <= 300


async def test_a_kubelet_that_hangs_costs_seconds_and_the_rest_is_kept(monkeypatch):
    monkeypatch.setattr(module, "READ_S", 0.1)
    event = {"reason": "BackOff", "message": "restarting", "involvedObject": {"kind": "Pod", "name": "x"}}
    kept = await read(Cluster(logs=HANGS, events=[event]))
    assert kept["notKept"] == ["the log of web-bbbbbbbbbb-x, container app: no answer within 0.1 s"]
    assert kept["events"][0]["reason"] == "BackOff"
    assert kept["exits"][0]["reason"] == "OOMKilled"


async def test_without_the_right_to_read_logs_the_rest_is_kept():
    kept = await read(Cluster([pod(f"web-{number}", CRASHED) for number in range(2)], logs=FORBIDDEN))
    assert kept["notKept"] == ["logs: the operator may not read them (get pods/log)"]
    assert kept["exits"]


async def test_without_the_right_to_read_events_the_rest_is_kept():
    kept = await read(Cluster(events=FORBIDDEN))
    assert kept["notKept"] == ["events: the operator may not read them (list events)"]
    assert kept["logs"]


async def test_pods_that_are_gone_are_said_to_be():
    kept = await read(Cluster([]))
    assert kept["notKept"] == ["logs and exits: the version has no pods, or they were gone before they could be read"]
    gone = await read(Cluster(logs=NotFoundError(404, "NotFound", "pods not found")))
    assert gone["notKept"] == ["the log of web-bbbbbbbbbb-x, container app: the pod was gone"]


@pytest.mark.parametrize(
    ("cluster", "records"),
    [
        (Cluster(pods=UnavailableError(0, "NoAnswer", "no answer")), Records()),
        (Cluster(), Records(error=UnavailableError(503, "", "no answer"))),
        (Cluster(), Records(error=InvalidError(403, "Forbidden", "no answer: quota"))),
    ],
    ids=["pods", "record", "refused"],
)
async def test_an_api_server_that_does_not_take_it_is_asked_again(cluster, records):
    with pytest.raises(EffectFailedError, match="no answer"):
        await read(cluster, records)


async def test_nothing_is_kept_of_a_release_that_is_gone():
    cluster = Cluster()
    cluster.release = None
    with pytest.raises(EffectRefusedError, match="gone"):
        await read(cluster)


def test_all_of_it_is_over_before_the_pods_go():
    assert module.READ_S < WAIT_S
