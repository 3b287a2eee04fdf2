"""What a replacement is decided by, read from the rows."""

from datetime import timedelta
from typing import Any

import pytest

from instances.executor.replace_facts import facts_of, machines_of, still
from instances.executor.replace_steps import ReplaceAct
from instances.models import Instance, Job
from instances.operations import pause_automation
from tests.factories import NOW, PERSON, make_instance, make_job, make_machine, make_reclaim

pytestmark = pytest.mark.django_db
RULE: dict[str, Any] = {"requested_by_kind": "rule", "requested_by_name": "reclaim"}


def replacing(**reclaim: Any) -> tuple[Instance, Job]:
    """Asked for, and not sent."""
    instance = make_instance(status="exited", wanted="running")
    record = make_reclaim(instance, **reclaim)
    job = make_job(instance, verb="replace", arguments={"old": instance.machine_id, "reclaim": record.pk}, **RULE)
    return instance, job


def needed(instance: Instance, job: Job) -> bool:
    old, new = machines_of(job)
    return facts_of(job, instance, old, new, now=NOW).needed


def test_it_is_needed_while_its_reclaim_is_open_and_the_old_one_does_not_run() -> None:
    instance, job = replacing()
    assert needed(instance, job)
    assert still(job, instance, ReplaceAct.CALL, now=NOW)


def test_it_is_not_needed_once_a_move_ended_under_another_id() -> None:
    instance, job = replacing()
    make_machine(instance)  # the twin, which is the instance's from now on

    assert not needed(instance, job)
    assert still(job, instance, ReplaceAct.FAIL, now=NOW)


@pytest.mark.parametrize("evidence", [{}, {"ran": {"read_at": NOW.isoformat()}}])
def test_it_is_not_needed_once_the_old_one_ran_since_it_was_taken(evidence: dict[str, Any]) -> None:
    instance, job = replacing(evidence=evidence)
    if not evidence and instance.machine is not None:
        instance.machine.status = "running"
        instance.machine.save(update_fields=["status"])

    assert not needed(instance, job)


def test_before_it_is_taken_the_old_one_runs_as_a_matter_of_course() -> None:
    instance, job = replacing(taken_at=None)
    assert instance.machine is not None
    instance.machine.status = "running"
    instance.machine.save(update_fields=["status"])

    assert needed(instance, job)


@pytest.mark.parametrize("kept", [{"protected": True}, {"local_data": "precious"}])
def test_what_is_kept_is_not_replaced_by_a_rule(kept: dict[str, Any]) -> None:
    instance, job = replacing()
    for name, value in kept.items():
        setattr(instance, name, value)

    assert still(job, instance, ReplaceAct.SUPERSEDE, now=NOW)


def test_a_pause_holds_it_before_anything_is_paid_for() -> None:
    instance, job = replacing()
    pause_automation(until=NOW + timedelta(hours=1), reason="maintenance", actor=PERSON, now=NOW)

    assert still(job, instance, ReplaceAct.WAIT, now=NOW)
