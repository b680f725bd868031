"""Kinds of jobs of a worker of one's own."""

from typing import Any

import pytest

from workloads.common.attempt import RefusedError, UnknownKindError
from workloads.common.job import Job
from workloads.common.job_row import Row, State
from workloads.common.job_table import Claim
from workloads.common.worker import JobKind, KindsWork

CLAIM = Claim(Row("j", State.PROCESSING), canary=False)


def kind(name: str) -> JobKind[Any]:
    async def work(month: int, job: Job) -> dict[str, Any]:
        return {"by": name, "month": month, "job": job.job_id}

    return JobKind(name, read=lambda body: int(body["month"]), work=work)


async def test_a_job_is_done_by_its_kind_with_what_that_has_read() -> None:
    work = KindsWork([kind("report"), kind("letter")])
    assert await work(Job("j", {"kind": "letter", "month": "7"}), CLAIM) == {"by": "letter", "month": 7, "job": "j"}


async def test_a_message_need_not_name_the_only_kind() -> None:
    assert (await KindsWork([kind("report")])(Job("j", {"month": 7}), CLAIM))["by"] == "report"
    with pytest.raises(RefusedError, match="kind: None is none of letter, report"):
        await KindsWork([kind("report"), kind("letter")])(Job("j", {"month": 7}), CLAIM)


async def test_a_kind_that_this_version_does_not_have_is_left_to_others_and_no_kind_at_all_is_not() -> None:
    """W26"""
    work = KindsWork([kind("report")])
    with pytest.raises(UnknownKindError, match="kind: 'letter' is none of report"):
        await work(Job("j", {"kind": "letter"}), CLAIM)
    with pytest.raises(RefusedError, match="kind: 7 is none of report"):
        await work(Job("j", {"kind": 7}), CLAIM)


async def test_a_body_that_the_kind_refuses_is_not_tried_again() -> None:
    with pytest.raises(RefusedError, match="invalid literal"):
        await KindsWork([kind("report")])(Job("j", {"month": "May"}), CLAIM)


@pytest.mark.parametrize("kinds", [[], [kind("report"), kind("report")]])
def test_kinds_that_cannot_be_told_apart_are_an_error(kinds: list[JobKind[Any]]) -> None:
    with pytest.raises(ValueError, match="each with a name of its own"):
        KindsWork(kinds)
