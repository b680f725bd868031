"""What the demo counts, and whom its users invite."""

import json
from dataclasses import replace
from functools import partial

import jwt
import pytest
import yaml

from controller.decision_log.sinks import sink_settings
from hack.demonstration.git_server import serving
from hack.demonstration.invitations import FOLDER, Invitations, Kept
from hack.demonstration.releasing import Fate, Outcome
from hack.demonstration.repository import Repository
from hack.demonstration.service_story import (
    RATES,
    REPLICAS,
    Exposure,
    ServiceSummary,
    exposure,
    failures,
    is_in_time,
    longest,
    lost,
    seconds,
    switched,
)
from hack.demonstration.telling import told
from hack.install import CHECKOUT, decisions
from hack.load.tally import Ledger
from hack.node.trouble import TroubleError
from tests.some_cluster import CLUSTER
from workloads.invitations.sending.sandbox import ENDS, SILENT_END
from workloads.invitations.settings import Limits


def test_no_friend_is_invited_twice_and_no_user_too_often_and_the_sandbox_fails_none():
    invitations = Invitations(CLUSTER, "friends")
    calls = [invitations.call() for _ in range(20_000)]
    phones = [json.loads(call.body)["phoneNumber"] for call in calls]
    assert len(set(phones)) == len(calls)
    assert {len(phone) for phone in phones} == {len("+15551234567")}
    assert not [phone for phone in phones if phone[-4:] in {*ENDS, SILENT_END}]
    signed = [call.headers["Authorization"].removeprefix("Bearer ") for call in calls[:100]]
    users = [jwt.decode(each, options={"verify_signature": False})["sub"] for each in signed]
    assert max(map(users.count, users)) <= Limits().daily / 2
    keys = [call.headers.get("Idempotency-Key") for call in calls]
    assert keys.count(None) == len(set(keys) - {None}) == 10_000


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        (Kept(sent=10, unsent=0, tried_twice=0), 0),
        (Kept(sent=9, unsent=0, tried_twice=0), 1),
        (Kept(sent=9, unsent=1, tried_twice=0), 1),
        (Kept(sent=11, unsent=0, tried_twice=0), 0),  # an answer that did not arrive
        (Kept(sent=8, unsent=1, tried_twice=0), 2),
    ],
)
def test_lost_is_what_was_promised_and_is_not_sent(kept, missing):
    assert lost(kept, invited=10) == missing


async def test_a_database_that_is_not_there_is_told_with_the_way_out():
    with pytest.raises(TroubleError, match="hack/cluster logs postgres"):
        await Invitations(CLUSTER, "friends").kept()


def test_a_bad_version_is_there_from_its_first_bad_answer_to_its_last_answer():
    ledger = Ledger()
    for at, code in ((100.0, 201), (102.0, 500), (105.5, 201)):
        ledger.answered(revision="bad", code=code, at=at, ms=1)
    for at in (100.0, 104.0):
        ledger.answered(revision="slow", code=201, at=at, ms=1000)
    counted = ledger.frozen(seconds=10)

    def of(revision):
        return exposure(Outcome("version", good=False, done=True, revision=revision, evidence=""), counted)

    assert of("bad") == Exposure("version", answers=3, failed=1, seconds=3.5)
    assert of("slow") == Exposure("version", answers=2, failed=0, seconds=4.0)
    assert of("never-called") == Exposure("version", answers=0, failed=0, seconds=0.0)


@pytest.mark.parametrize(
    ("answers", "in_time"),
    [
        ([(201, 20)] * 100, True),
        ([(201, 20)] * 97 + [(201, 3000)] * 3, True),
        ([(201, 20)] * 90 + [(201, 3000)] * 10, False),
        ([(201, 20)] * 99 + [(503, 20)], False),
        ([], False),
    ],
)
def test_load_is_sent_as_fast_as_a_busy_machine_answers_it(answers, in_time):
    ledger = Ledger()
    for code, ms in answers:
        ledger.answered(revision="good", code=code, at=100.0, ms=ms)
    assert is_in_time(ledger.frozen(seconds=4)) is in_time


def test_what_failed_on_good_versions_is_said_by_who_answered():
    ledger = Ledger()
    for revision, code in (("good", 201), ("good", 503), ("", 504), ("", 504), ("bad", 500)):
        ledger.answered(revision=revision, code=code, at=100.0, ms=1)
    ledger.lost("TimeoutError", 100.0)
    found = failures(ledger.frozen(seconds=10), {"bad"})
    assert found == {"504 by the gateway": 2, "503 by a pod": 1, "no answer (TimeoutError)": 1}


def test_a_switch_takes_from_its_decision_to_the_last_answer_of_the_version_before():
    ledger = Ledger()
    for at in (99.0, 100.4):
        ledger.answered(revision="old", code=200, at=at, ms=1)
    counted = ledger.frozen(seconds=10)
    assert seconds(100.0, counted, "old") == pytest.approx(0.4)
    assert seconds(101.0, counted, "old") == 0, "it had no work left"
    assert seconds(None, counted, "old") is None, "it was not switched"
    assert seconds(100.0, counted, "never-called") is None
    assert longest([0.4, None, 0.75]) == 0.75
    assert longest([None]) is None


def test_the_repository_holds_what_the_kustomization_names_and_the_patch_of_the_strategy(tmp_path):
    patch = FOLDER / "blue-green/strategy.yaml"
    host = partial(serving, address="127.0.0.1")
    repository = Repository(tmp_path / "git", FOLDER, patch, host=host)
    with repository.hosted():
        repository.commit("version 4", VERSION="4", ERRORS_ABOVE="15")
        there = {str(file.relative_to(repository.directory)) for file in repository.directory.rglob("*.yaml")}
    overlay = {"kustomization", "release", "settings", "left-out", "strategy"}
    assert {name for name in there if name.startswith("demo/")} == {f"demo/invitations/{name}.yaml" for name in overlay}
    assert any(name.startswith("workloads/invitations/") and name.endswith("/serviceaccount.yaml") for name in there)
    assert not any("release" in name for name in there if not name.startswith("demo/")), "there is one of each"
    kustomization = yaml.safe_load((repository.manifest.parent / "kustomization.yaml").read_text())
    assert {"path": "strategy.yaml", "target": {"kind": "Release"}} in kustomization["patches"]
    assert "namespace.yaml" not in kustomization["resources"], "it is there before"
    assert 'value: "15"' in repository.manifest.read_text()


def test_the_end_of_the_demo_says_who_met_each_version_and_what_git_has():
    bad = Outcome("version 3: fails", good=False, done=True, revision="r3", evidence="errors: 5 of 26 bad")
    good = Outcome("version 2: good", good=True, done=True, revision="r2", evidence="", fate=Fate.PROMOTED)
    summary = ServiceSummary(
        releases=(good, bad),
        exposures=(Exposure("version 3: fails", answers=39, failed=5, seconds=6.5),),
        requests=100,
        rate=25.0,
        failed_on_good_versions=0,
        invited=95,
        lost=0,
        sent_twice=0,
        history=("2c86672 Pointsman: Roll back friends/invitations to r2",),
    )
    text = told(summary)
    assert "version 2: good           promoted\n" in text
    assert "version 3: fails          rolled back, 39 answers, 5 failed, gone in 6.5 s\n" in text
    assert "\nversion 3, errors: 5 of 26 bad\n" in text
    assert text.endswith("In git, newest first:\n  2c86672 Pointsman: Roll back friends/invitations to r2\n")
    assert summary.well
    assert not replace(summary, lost=1).well
    assert not replace(summary, releases=(replace(bad, done=False),)).well


@pytest.mark.parametrize("rate", RATES)
def test_what_only_everybodys_load_shows_is_shown_by_a_smaller_load_too_and_not_by_the_job(rate):
    release = yaml.safe_load((FOLDER / "release.yaml").read_text())
    patch = yaml.safe_load((FOLDER / "blue-green/strategy.yaml").read_text())
    assert release["spec"]["replicas"] == REPLICAS
    (step,) = patch["spec"]["strategy"]["blueGreen"]["steps"]
    (script,) = step["job"]["template"]["spec"]["containers"][0]["args"]
    of_job = 1 / float(script.partition("time.sleep(")[2].partition(")")[0])
    most = int(switched(rate)[-1].values["ERRORS_ABOVE"])
    assert of_job < most <= 0.7 * rate / REPLICAS


def test_the_operator_of_a_demo_writes_its_decisions_to_the_influxdb_that_it_asks():
    environment = decisions(CLUSTER)
    written = sink_settings(
        decisions_url=environment["POINTSMAN_DECISIONS_URL"],
        decisions_org=environment["POINTSMAN_DECISIONS_ORG"],
        decisions_bucket=environment["POINTSMAN_DECISIONS_BUCKET"],
        annotations_url="",
        environ=environment,
    ).decisions
    asked = yaml.safe_load((CHECKOUT / "gitops/demo/metricsource.yaml").read_text())["spec"]["influxdb"]
    assert written is not None
    assert (written.url, written.org, written.bucket) == (asked["url"], asked["org"], asked["bucket"])
    assert written.token == CLUSTER.influx.token
