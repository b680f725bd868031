"""Points and annotations: what stands in them, and that nothing of a tenant's can change their shape."""

import json

import pytest

from controller.api.phase import Phase
from controller.api.status import Status
from controller.decision_log.entry import EventEntry, LookEntry, StatusEntry
from controller.decision_log.grafana import GrafanaSink
from controller.decision_log.influxdb import InfluxSink
from controller.decision_log.places import Annotations, Bucket
from controller.decision_log.sinks import SinkSettings, SinkSettingsError, sink_settings
from controller.kube.objects import Key
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

KEY = Key("shop", "web")
SINK = InfluxSink(Bucket("http://influx:8086", "example", "metrics", "secret"), "c1")
PLAN = AnalysisPlan(
    alpha=0.01, min_bad_units=5, metrics=(MetricPlan("errors", odds=1.1), MetricPlan("latency/0.25", odds=1.25))
)


def test_a_look_has_a_point_for_each_metric_that_it_counted():
    look = Look(7, 100.0, 105.0, 5.0, {"errors": Counts(3, 40, 8, 760), "latency/0.25": Counts(1, 40, 20, 760)})
    evidence = Judge.over(PLAN, [look]).evidence()
    lines = [line.decode() for line in SINK.encode(LookEntry(KEY, "bbbbbbbbbb", "aaaaaaaaaa", 2, look, evidence))]
    assert len(lines) == 2
    head, fields, at = lines[0].split(" ")
    assert head == "pointsman.look,cluster=c1,metric=errors,namespace=shop,release=web"
    assert at == "105000000000"
    assert {"canary_bad=3i", "canary_total=40i", "stable_bad=8i", "stable_total=760i", "weight=5"} <= set(
        fields.split(",")
    )
    assert 'canary="bbbbbbbbbb"' in fields
    assert lines[1].startswith("pointsman.look,cluster=c1,metric=latency,namespace=shop,release=web,threshold=0.25 ")


def test_a_look_that_is_made_again_is_the_same_point():
    look = Look(1, 100.1, 105.1, 5.0, {"errors": Counts(3, 40, 8, 760)})
    first, second = (
        SINK.encode(LookEntry(KEY, "b", "a", 1, look, Judge.over(PLAN, [look]).evidence())) for _ in range(2)
    )
    assert first == second
    assert len(first) == 1, "the other metric was not asked for"


def test_a_status_says_where_the_release_stands():
    status = Status(phase=Phase.HEALTHY, reason="Proven", stable="aaaaaaaaaa", message='all "good"\nsay people')
    (line,) = SINK.encode(StatusEntry(KEY, status, 1.5))
    assert line.startswith(b"pointsman.release,cluster=c1,namespace=shop,release=web ")
    assert b'phase="Healthy"' in line
    assert b'message="all \\"good\\" say people"' in line
    assert b"\n" not in line
    assert line.endswith(b" 1500000000")


HOSTILE = 'x,reason=y z=1i 5\npointsman.release phase="Healthy" \\ <img src=x onerror=alert(1)>'


def test_hostile_text_stays_text():
    event = EventEntry(KEY, "Weight", HOSTILE, warning=True, at=2.0)
    (line,) = SINK.encode(event)
    assert b"\n" not in line
    assert line.count(b'"') - line.count(b'\\"') == 2
    (body,) = GrafanaSink(Annotations("http://grafana", "secret")).encode(event)
    annotation = json.loads(body)
    assert "<img" not in annotation["text"]
    assert annotation["time"] == 2000
    assert annotation["tags"] == ["pointsman", "namespace:shop", "release:web", "reason:Weight", "warning"]


def test_grafana_gets_events_alone():
    assert GrafanaSink(Annotations("http://grafana", "secret")).encode(StatusEntry(KEY, Status(), 0.0)) == []


NOTHING = {"decisions_url": "", "decisions_org": "", "decisions_bucket": "", "annotations_url": ""}
ALL = {"decisions_url": "http://influx:8086/", "decisions_org": "example", "decisions_bucket": "metrics"}


def test_nothing_is_written_unless_it_is_asked_for():
    assert sink_settings(**NOTHING, environ={}) == SinkSettings()


def test_tokens_are_in_the_environment_and_in_no_representation():
    found = sink_settings(**{**NOTHING, **ALL}, environ={"POINTSMAN_DECISIONS_TOKEN": "secret\n"})
    assert found.decisions == Bucket("http://influx:8086", "example", "metrics", "secret")
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"decisions_url": ""}, "--decisions-org and --decisions-bucket need --decisions-url"),
        ({"decisions_bucket": ""}, "--decisions-url needs --decisions-bucket"),
        ({"decisions_url": "influx:8086"}, "--decisions-url is not an address"),
        ({"decisions_url": "http://me:secret@influx"}, "--decisions-url holds more than an address"),
        ({"annotations_url": "http://grafana"}, "--annotations-url needs a token in the environment variable"),
    ],
)
def test_settings_that_do_not_fit_are_a_sentence(changed, said):
    with pytest.raises(SinkSettingsError) as caught:
        sink_settings(**{**NOTHING, **ALL, **changed}, environ={"POINTSMAN_DECISIONS_TOKEN": "secret"})
    assert str(caught.value).startswith(said)
    assert "secret" not in str(caught.value)
