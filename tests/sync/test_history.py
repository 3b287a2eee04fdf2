"""What ended long ago is forgotten once a day, and one event says what was."""

from decimal import Decimal

import pytest

from instances.models import Event, Instance, Job, Machine, RunningInterval
from sync import history
from sync.models import SyncRun
from tests.factories import NOW, make_instance, make_job

pytestmark = pytest.mark.django_db


def ended(days: int) -> Instance:
    instance = make_instance(machine={"absent_at": NOW, "metered_usd": Decimal("1.5")})
    make_job(instance, verb="delete", state="succeeded")
    assert instance.machine is not None
    RunningInterval.objects.create(machine=instance.machine, started_at=NOW, ended_at=NOW)
    Instance.objects.filter(pk=instance.pk).update(ended_at=NOW + history.KEPT - days * history.EVERY)
    return instance


def test_only_what_ended_before_the_retention_is_forgotten_and_one_event_counts_it() -> None:
    old, recent, living = ended(200), ended(-1), make_instance()
    now = NOW + history.KEPT

    assert history.prune_if_due(now)
    assert not history.prune_if_due(now)

    assert set(Instance.objects.all()) == {recent, living}
    assert Job.objects.count() == RunningInterval.objects.count() == 1
    assert not Machine.objects.filter(instance=old.pk).exists()
    [told] = Event.objects.filter(type="history.pruned")
    assert (told.before["instances"], told.before["jobs"], told.before["metered_usd"]) == (1, 1, "1.500000")


def test_a_run_that_found_nothing_is_kept_a_day_and_the_others_a_month() -> None:
    found = {"discover": 1}
    for counts, days in (({}, 2), ({}, 0), (found, 2), (found, 31)):
        SyncRun.objects.create(trigger="poll", actor_kind="system", started_at=NOW - days * history.EVERY, counts=counts)

    assert history.prune_if_due(NOW)

    left = SyncRun.objects.order_by("started_at").values_list("started_at", "counts")
    assert list(left) == [(NOW - 2 * history.EVERY, found), (NOW, {})]


def test_where_there_is_nothing_to_forget_nothing_is_told() -> None:
    ended(-1)

    history.prune(NOW + history.KEPT)

    assert not Event.objects.filter(type="history.pruned").exists()
