"""One record that cannot be stored never stops the others, and is told until it can."""

from datetime import timedelta
from decimal import Decimal

import pytest

from instances.models import Alarm, Instance, Machine
from instances.novita.types import RemoteInstance
from instances.readings import COMPARED, Reading, reading_of
from sync.apply import apply
from sync.listing import known_machines
from sync.plan import Change, plan
from tests.factories import NOW, make_instance

pytestmark = pytest.mark.django_db


def seen(instance: Instance, **columns: object) -> Change:
    """A change for its machine: shown as exited, with columns as odd as the test wants them."""
    machine = Machine.objects.get(instance=instance)
    reading = reading_of(RemoteInstance(id=machine.novita_id or "", status="exited", billing_mode="spot"))
    odd = Reading(novita_id=reading.novita_id, columns=reading.columns | columns)
    return Change(kind="observe", novita_id=reading.novita_id, reason="differs", machine_id=machine.pk, reading=odd)


def test_one_that_was_gone_and_is_back_at_another_price_is_not_stored_quietly() -> None:
    instance = make_instance(machine={"absent_at": NOW, "missing_since": NOW, "not_found_at": NOW})
    machine = Machine.objects.get(instance=instance)
    as_it_was = {name: getattr(machine, name) for name in COMPARED}
    reading = Reading(novita_id=machine.novita_id or "", columns=as_it_was | {"price_usd_per_hour": Decimal(1)})
    later = NOW + timedelta(seconds=30)

    found = plan(known_machines(None, [reading]), [reading], complete=True, began_at=later, settle=timedelta(seconds=60))
    apply(found.changes, began_at=later, now=later, account=None)

    machine.refresh_from_db()
    assert (machine.absent_at, machine.billed_since) == (None, later)


def refused() -> list[str]:
    return list(Alarm.objects.filter(kind="record_refused", cleared_at=None).values_list("subject", flat=True))


def test_a_record_that_cannot_be_stored_is_alarmed_and_the_next_one_is_taken_over() -> None:
    odd, plain = make_instance(), make_instance()
    changes = [seen(odd, gpu_num=None), seen(plain)]
    later = NOW + timedelta(seconds=30)

    apply(changes, began_at=later, now=later, account=None)

    odd.refresh_from_db()
    plain.refresh_from_db()
    assert (odd.observed, plain.observed) == ("running", "exited")
    assert refused() == [changes[0].novita_id]


def test_the_alarm_ends_once_it_can_be_stored() -> None:
    odd = make_instance()
    later = NOW + timedelta(seconds=30)
    apply([seen(odd, gpu_num=None)], began_at=later, now=later, account=None)

    apply([seen(odd)], began_at=later, now=later, account=None)

    assert refused() == []
