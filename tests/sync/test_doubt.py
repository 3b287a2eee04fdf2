"""Lists that are not believed: what they freeze, how that ends, and who may end it."""

from collections.abc import Iterator
from typing import Any

import pytest

from instances.models import Event, Instance, Machine, ProviderAccount
from instances.operations import lift_freeze
from tests.driving import Drive, driving
from tests.factories import PERSON
from tests.sync.fleets import STEP, fleet, hide, id_of, listed, lose, show


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def account() -> ProviderAccount:
    return ProviderAccount.objects.get()


def test_a_list_that_lacks_too_much_is_believed_once_another_agrees_and_each_is_not_found(drive: Drive) -> None:
    instances = fleet(drive, 6)
    lost = lose(drive, instances[:3])

    listed(drive)
    unverified = Machine.objects.exclude(unverified_since=None).values_list("novita_id", flat=True)
    assert set(unverified) == set(lost)
    assert not Machine.objects.filter(missing_since__isnull=False).exists()
    [alarm] = drive.alarms("list_not_believed")
    assert "3 of 6" in alarm.text

    listed(drive)
    assert account().doubted_since is not None  # two lists agree, and nothing was asked by id yet
    assert not Machine.objects.filter(missing_since__isnull=False).exists()

    drive.until(lambda: account().doubted_since is None, step=STEP)
    assert drive.alarms("list_not_believed") == []
    drive.until(lambda: Instance.objects.filter(phase="gone").count() == 3, step=STEP)
    assert Instance.objects.filter(phase="ready").count() == 3
    types = list(Event.objects.filter(type__in=["account.doubted", "account.trusted"]).order_by("id"))
    assert [event.type for event in types] == ["account.doubted", "account.trusted"]
    [proof] = instances[0].events.filter(type="instance.absence_proven")
    assert proof.after["novita_id"] == lost[0]
    assert proof.after["listed_without_it_at"] < proof.after["not_found_at"]


def test_while_reads_find_what_lists_lack_the_doubt_lasts_and_nothing_is_gone(drive: Drive) -> None:
    instances = fleet(drive, 6)
    lost = [id_of(instance) for instance in instances[:3]]
    hide(drive, *lost)

    drive.let_pass(180, step=10)

    assert account().doubted_since is not None
    assert not Machine.objects.filter(missing_since__isnull=False).exists()
    assert Instance.objects.filter(phase="ready").count() == 6
    assert "3 of them are not confirmed" in drive.alarms("list_not_believed")[0].text

    show(drive, *lost)
    drive.until(lambda: account().doubted_since is None, step=STEP)
    assert not Machine.objects.exclude(unverified_since=None).exists()


def test_a_person_lifts_the_freeze_and_the_next_list_is_believed(drive: Drive) -> None:
    instances = fleet(drive, 6)
    hide(drive, *[id_of(instance) for instance in instances[:3]])
    listed(drive)
    assert listed(drive).doubt

    lift_freeze(actor=PERSON, reason="they are in another list", now=drive.now)
    listed(drive)

    assert (account().doubted_since, drive.alarms("list_not_believed")) == (None, [])
    assert Machine.objects.exclude(missing_since=None).count() == 3
    [told] = Event.objects.filter(type="account.freeze_lifted")
    assert (told.actor_name, told.reason) == ("alice", "they are in another list")
    drive.let_pass(60, step=10)
    assert Instance.objects.filter(phase="ready").count() == 6  # missing is not gone


def test_pages_that_disagree_are_doubted_until_two_lists_agree(drive: Drive) -> None:
    fleet(drive, 2)
    drive.faults({"call": "list", "kind": "page_gap", "count": 1})

    listed(drive)
    assert account().doubted_since is not None
    assert "disagree" in drive.alarms("list_not_believed")[0].text
    listed(drive)
    assert account().doubted_since is not None
    listed(drive)
    assert (account().doubted_since, drive.alarms("list_not_believed")) == (None, [])


def test_a_list_that_lacks_something_else_each_time_is_never_believed(drive: Drive) -> None:
    instances = fleet(drive, 6)
    ids = [id_of(instance) for instance in instances]

    for lost in (ids[:3], ids[1:4], ids[2:5]):
        hide(drive, *lost)
        listed(drive)
        show(drive, *lost)

    assert not Machine.objects.filter(missing_since__isnull=False).exists()


def test_a_list_that_is_not_believed_vouches_for_nothing(drive: Drive) -> None:
    fleet(drive, 4)
    listed(drive)
    before = ProviderAccount.objects.get().complete_list_at
    drive.faults({"call": "list", "kind": "empty_list", "count": 1})

    listed(drive)

    assert ProviderAccount.objects.get().complete_list_at == before
