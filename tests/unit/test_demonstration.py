"""What the demo counts, and whom its users invite."""

import json

import jwt
import pytest

from hack.demonstration.invitations import MANIFEST, Invitations, Kept
from hack.demonstration.releasing import Outcome
from hack.demonstration.repository import Repository
from hack.demonstration.service_story import PATCH, Exposure, exposure, longest, lost, seconds
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


def test_the_patch_of_a_manifest_is_committed_beside_it_and_named_to_kustomize(tmp_path):
    repository = Repository(tmp_path / "git", MANIFEST, PATCH)
    repository.create()
    repository.commit("version 4", VERSION="4", ERRORS_ABOVE="15")
    assert {file.name for file in repository.directory.iterdir()} == {
        ".git",
        "release.yaml",
        "strategy.yaml",
        "kustomization.yaml",
    }
    assert "path: strategy.yaml" in (repository.directory / "kustomization.yaml").read_text()
    assert 'value: "15"' in repository.manifest.read_text()
