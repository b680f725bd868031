"""Manifests of Argo Rollouts and Flagger in a Release's words, and what of them has none."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller import registry
from controller.api.release import parse_release
from controller.cli._translation import NotTranslatableError, translate
from controller.cli.main import application

ROLLOUT = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 3
  revisionHistoryLimit: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: 'shop:1'}]}
  strategy:
    canary:
      stableService: shop-front
      canaryService: shop-canary
      maxSurge: 1
      trafficRouting: {nginx: {stableIngress: shop}}
      steps:
      - setWeight: 20
      - pause: {duration: 90}
      - pause: {}
      - setHeaderRoute: {name: x, match: [{headerName: x-canary, headerValue: {exact: "1"}}]}
      - analysis: {templates: [{templateName: rate}]}
      - setWeight: 100
---
apiVersion: v1
kind: Service
metadata: {name: shop-front}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30001}]}
"""
FLAGGER = """
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  service: {port: 80, targetPort: 8080, gatewayRefs: [{name: public, namespace: gateways}], hosts: [shop.example.com]}
  skipAnalysis: false
  analysis:
    interval: 30s
    threshold: 5
    maxWeight: 50
    stepWeight: 25
    metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
    - {name: request-duration, thresholdRange: {max: 500}, interval: 1m}
    webhooks: [{name: load, url: 'http://load/'}]
"""
DEPLOYMENT = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: 'shop:1'}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
"""


def of(text: str) -> Any:
    return translate(list(yaml.safe_load_all(text)))


def ran(tmp_path: Any, text: str, *options: str) -> Any:
    file = tmp_path / "peer.yaml"
    file.write_text(text)
    return CliRunner().invoke(application("adopting"), ["adopt", "--from", str(file), *options])


def release_of(output: str) -> Any:
    release = yaml.safe_load(output)
    parse_release(release["metadata"]["name"], release["spec"], registry.kinds())
    return release


def test_a_rollouts_steps_are_said_in_a_releases_words():
    found = of(ROLLOUT)
    steps = found.spec["strategy"]["canary"]["steps"]
    header = {"header": {"name": "x-canary", "value": "1"}}
    assert steps == [{"weight": 20}, {"pause": {"for": "90s"}}, {"approve": {}}, header]
    assert found.name == "shop-front"
    assert (found.spec["replicas"], found.spec["revisionHistoryLimit"]) == (3, 2)


@pytest.mark.parametrize(
    "line",
    [
        "spec.selector",
        "spec.strategy.canary.canaryService",
        "spec.strategy.canary.maxSurge",
        "spec.strategy.canary.trafficRouting.nginx",
        "spec.strategy.canary.steps[4]",
        "spec.strategy.canary.steps[5]",
    ],
)
def test_what_has_no_counterpart_is_said_line_by_line(line):
    assert [sentence for sentence in of(ROLLOUT).remarks if sentence.startswith(f"{line}: ")]


def test_every_line_of_a_rollout_is_translated_or_said():
    document = next(yaml.safe_load_all(ROLLOUT))
    document["spec"]["unheardOf"] = 1
    document["spec"]["strategy"]["canary"]["unheardOf"] = 1
    remarks = of(yaml.safe_dump(document)).remarks
    assert "spec.unheardOf: no counterpart" in remarks
    assert "spec.strategy.canary.unheardOf: no counterpart" in remarks


def test_blue_green_waits_for_a_person_where_the_rollout_does():
    document = next(yaml.safe_load_all(ROLLOUT))
    document["spec"]["strategy"] = {
        "blueGreen": {"activeService": "shop", "autoPromotionEnabled": False, "scaleDownDelaySeconds": 60}
    }
    found = of(yaml.safe_dump(document))
    assert found.spec["strategy"] == {"blueGreen": {"steps": [{"approve": {}}], "keepOld": "60s"}}


def test_a_canary_of_flagger_is_said_in_a_releases_words():
    found = of(FLAGGER)
    assert found.deployment == "shop"
    wait = {"pause": {"for": "30s"}}
    assert found.spec["strategy"] == {"canary": {"steps": [{"weight": 25}, wait, {"weight": 50}, wait]}}
    assert found.spec["analysis"]["metrics"] == [{"name": "errors", "template": "http-errors", "limit": {"max": "1%"}}]
    assert found.spec["traffic"]["gatewayAPI"]["hostnames"] == ["shop.example.com"]
    said = " ".join(found.remarks)
    assert all(line in said for line in ("spec.skipAnalysis", "threshold", "metrics[1]", "spec.analysis.webhooks"))


def test_a_file_with_the_deployment_needs_no_cluster(tmp_path):
    done = ran(tmp_path, FLAGGER + DEPLOYMENT)
    assert done.exit_code == 0, done.output
    release = release_of(done.stdout)
    assert release["spec"]["adopt"]["deployment"] == "shop"
    assert release["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
    assert "gatewayAPI" in release["spec"]["traffic"]
    assert "Canary spec.analysis.threshold" in done.stderr


def test_without_the_deployment_the_way_to_it_is_said(tmp_path):
    done = ran(tmp_path, FLAGGER)
    assert done.exit_code == 1
    assert "pointsman adopt deployment/shop --from FILE" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod\n", "no Rollout of argoproj.io"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: x}\n", "Rollout x cannot be read"),
        (ROLLOUT.replace("duration: 90", "duration: soon"), "'soons?' is not a duration"),
    ],
)
def test_what_is_no_such_manifest_is_refused_with_a_sentence(text, said):
    with pytest.raises(NotTranslatableError, match=said):
        of(text)
