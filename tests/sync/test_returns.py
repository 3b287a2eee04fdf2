"""Machines that Novita lost, by its word and by its lists, and shows again beside the ones that took their place."""

import pytest

from instances.models import Machine
from tests.driving import Drive
from tests.sync.fleets import bring_back
from tests.sync.reclaiming import ended, novita_id, replacing, settled, spot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("with_reclaims")]


def test_one_that_was_lost_in_a_move_and_is_back_beside_the_one_made_anew_is_surplus(drive: Drive) -> None:
    instance = settled(drive)
    old = novita_id(instance)
    drive.faults(
        {"call": "start", "kind": "no_capacity", "count": 3}, {"call": "migrate", "kind": "migrate_loses_all", "count": 1}
    )
    spot(drive, instance, "reclaim", give_back_stock=True)
    ended(drive, seconds=1200)
    drive.let_pass(400, step=20)  # until Novita does not know it by id either
    assert Machine.objects.get(novita_id=old).absent_at is not None

    bring_back(drive, old)
    drive.until(lambda: drive.alarms("surplus_machine"), step=5)
    drive.let_pass(60, step=10)

    back = Machine.objects.get(novita_id=old)
    assert [one.subject for one in drive.alarms("surplus_machine")] == [old] != [novita_id(instance)]
    assert (back.surplus_since is not None, back.billed_since is not None) == (True, True)
    assert drive.count("delete") == drive.count("stop") == 0


def test_the_old_one_of_a_replacement_that_is_back_is_surplus(drive: Drive) -> None:
    instance, old = replacing(drive)
    drive.until_idle(seconds=900, step=5)
    assert [one["id"] for one in drive.living()] == [novita_id(instance)]
    assert drive.alarms("surplus_machine") == []

    bring_back(drive, old)
    drive.until(lambda: drive.alarms("surplus_machine"), step=5)

    assert [one.subject for one in drive.alarms("surplus_machine")] == [old] != [novita_id(instance)]
