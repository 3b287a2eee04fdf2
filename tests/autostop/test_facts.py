from datetime import timedelta

import pytest

from autostop.facts import Scene, facts_of
from autostop.policies import read_policies
from instances.models import Instance, Machine
from tests.autostop.rows import MINUTE, NOW, running_instance

pytestmark = pytest.mark.django_db


def facts(instance: Instance) -> tuple[object, ...]:
    fresh = Instance.objects.select_related("machine").get(pk=instance.pk)
    found = facts_of(fresh, Scene(now=NOW, policies=read_policies(NOW)), open_verb="")
    return found.ready_at, found.running_since, found.startup_deadline_at


def test_ready_counts_only_in_the_run_it_was_reached_in() -> None:
    instance = running_instance("one", ready=timedelta(hours=2))
    assert facts(instance)[0] == NOW - timedelta(hours=2)

    Machine.objects.update(running_since=NOW - MINUTE)
    assert facts(instance)[:2] == (None, NOW - MINUTE)

    Machine.objects.update(running_since=NOW - timedelta(hours=3), status="pulling")
    assert facts(instance)[:2] == (None, None)


@pytest.mark.parametrize(("stage", "minutes"), [("pulling", 30), ("starting", 10), ("creating", 10)])
def test_each_stage_of_starting_up_has_its_own_deadline(stage: str, minutes: int) -> None:
    instance = running_instance("one", ready=None, boot_stage=stage, boot_stage_since=NOW)

    assert facts(instance)[2] == NOW + minutes * MINUTE


def test_without_a_stage_the_deadline_counts_from_the_run() -> None:
    instance = running_instance("one", ready=None, boot_stage="", boot_stage_since=None)

    assert facts(instance)[2] == NOW - timedelta(hours=2) + 10 * MINUTE


def test_its_own_threshold_goes_before_the_default() -> None:
    instance = running_instance("one", auto_stop_threshold=timedelta(hours=1))

    found = facts_of(instance, Scene(now=NOW, policies=read_policies(NOW)), open_verb="")

    assert found.rules.threshold == timedelta(hours=1)
