"""The report to a forge, as the outbox has it made: once over crashes, patient with limits, silent about secrets."""

import base64

import pytest

from controller.api.effect import Effect
from controller.api.git_origin import Forge
from controller.api.names import GIT_URLS
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError
from controller.effects.git_report import EXAMPLE, GitReport
from controller.git.forges import calls
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from tests.unit.effects.calling import NoPods, no_api_server
from tests.unit.git.strict_forge import SHA, TOKEN, StrictForge

OWNER = Key("shop", "web")
ENDS = {"pending": "5 %, step 1 of 2", "success": "promoted", "failure": "rolled back, errors 12/240 vs 3/4600"}


class Secrets(NoPods):
    token = TOKEN

    async def find(self, resource, namespace, name):
        assert (namespace, name) == ("shop", "shop-git")
        return {
            "metadata": {"annotations": {GIT_URLS: "https://git.qa/team"}},
            "data": {"password": base64.b64encode(self.token.encode()).decode()},
        }


def strict(monkeypatch, kind):
    server = StrictForge(kind)
    monkeypatch.setattr(calls, "CheckedTransport", server)
    return server


@pytest.fixture
def forge(monkeypatch):
    return strict(monkeypatch, Forge.GITEA)


@pytest.fixture(params=list(Forge))
def any_forge(request, monkeypatch):
    return strict(monkeypatch, request.param)


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def carrier(clock=None, secrets=None):
    context = EffectContext(secrets or Secrets(), Addresses(no_api_server), clock=clock or Clock(), cluster="c-1")
    return GitReport(context)


def effect(state="failure", **changes):
    payload = {**EXAMPLE, "state": state, "message": ENDS[state], "commit": SHA, **changes}
    return Effect("gitReport.bbbbbbbbbb.3", "gitReport", {key: value for key, value in payload.items() if value})


async def test_each_forge_shows_a_release_from_its_first_step_to_its_end(any_forge):
    where = {"origin": {**EXAMPLE["origin"], "forge": str(any_forge.forge)}}
    on_gitlab = any_forge.forge is Forge.GITLAB
    words = {"pending": "running", "failure": "failed"} if on_gitlab else {}

    async def shows(state, message, *, shown="", **more):
        for _ in range(2):  # another leader
            await carrier().carry_out(OWNER, effect(state, message=message, **where, **more))
        assert any_forge.shown == (words.get(state, state), shown or message)

    first = "5 %, step 1 of 2"
    await shows("pending", first)
    await shows("pending", "50 %, step 2 of 2", shown=first if on_gitlab else "")
    await shows("success", "promoted")
    await shows("pending", first, revision="cccccccccc", attempt=4)
    await shows("failure", "rolled back, errors 12/240 vs 3/4600 (p 7.5e-05)", revision="cccccccccc", attempt=4)
    assert len(any_forge.statuses) == (4 if on_gitlab else 5)
    promoted, back = (next(iter(one.values())) for one in any_forge.comments)
    assert "promoted this commit's version of `shop/web`, `bbbbbbbbbb`" in promoted
    assert "rolled back this commit's version of `shop/web`, `cccccccccc`" in back


async def test_a_rollback_is_a_failure_with_its_counts_and_one_comment(forge):
    for _ in range(3):  # a crash, other leaders: it is carried out again
        done = await carrier().carry_out(OWNER, effect())
        assert done.value == {"commit": SHA}
    assert forge.shown == ("failure", "rolled back, errors 12/240 vs 3/4600")
    (comment,) = forge.comments
    assert "`errors 12/240 vs 3/4600`" in comment["body"]
    assert "`aaaaaaaaaa` has all of the traffic" in comment["body"]
    assert "<!-- pointsman c-1/shop/web bbbbbbbbbb 3 -->" in comment["body"]
    assert len(forge.posts) == 2


async def test_while_it_goes_on_there_is_no_comment(forge):
    await carrier().carry_out(OWNER, effect("pending"))
    assert forge.shown == ("pending", "5 %, step 1 of 2")
    assert forge.comments == []


async def test_status_alone_makes_no_comment(forge):
    await carrier().carry_out(OWNER, effect(origin={**EXAMPLE["origin"], "report": "Status"}))
    assert forge.comments == []


async def test_what_comes_from_metrics_mentions_nobody(forge):
    await carrier().carry_out(OWNER, effect(evidence="@everyone ![x](https://evil.qa/x.png) ` <b>"))
    assert "`@everyone ![x](https://evil.qa/x.png) ' <b>`" in forge.comments[0]["body"]


@pytest.mark.parametrize("died_after", [1, 2])
async def test_whoever_dies_between_two_calls_costs_nothing(forge, died_after):
    forge.cut_after_posts = died_after
    with pytest.raises(EffectFailedError) as error:
        await carrier().carry_out(OWNER, effect())
    assert TOKEN not in str(error.value)
    await carrier().carry_out(OWNER, effect())
    assert len(forge.comments) == 1
    assert len(forge.posts) == 2


async def test_a_forge_that_limits_calls_is_left_alone_also_with_another_state(forge):
    clock = Clock()
    made = carrier(clock)
    forge.refusals.append((403, {"Retry-After": "90"}, b""))
    with pytest.raises(EffectFailedError) as error:
        await made.carry_out(OWNER, effect("pending"))
    assert error.value.retry_after == 90
    clock.now += 30
    with pytest.raises(EffectFailedError) as error:
        await made.carry_out(OWNER, effect())
    assert error.value.retry_after == 60
    clock.now += 61
    await made.carry_out(OWNER, effect())
    assert forge.shown[0] == "failure"


async def test_credentials_that_were_rotated_work_with_the_next_try(forge):
    secrets = Secrets()
    forge.refusals.append((401, {}, b"the-old-one"))
    with pytest.raises(EffectFailedError, match="token's rights") as error:
        await carrier(secrets=secrets).carry_out(OWNER, effect())
    assert "the-old-one" not in str(error.value)
    await carrier(secrets=secrets).carry_out(OWNER, effect())
    assert forge.shown[0] == "failure"


@pytest.mark.parametrize("commit", ["main", "../../etc", "9f31", "9F31C07A52" * 4, "x" * 40])
async def test_an_annotation_that_is_no_commit_is_refused(forge, commit):
    with pytest.raises(EffectRefusedError, match="is no commit"):
        await carrier().carry_out(OWNER, effect(commit=commit))
    assert forge.posts == []


async def test_never_means_never(forge):
    with pytest.raises(EffectRefusedError, match="Never"):
        await carrier().carry_out(OWNER, effect(origin={**EXAMPLE["origin"], "report": "Never"}))
