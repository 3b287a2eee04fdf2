"""The part of the fleet page that is asked for again and again: 304 for little, and never while something shown differs."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from instances.alarms import clear_alarm, raise_alarm
from instances.models import Instance, Machine, PeriodicWork, ProviderAccount
from instances.operations import change_settings, pause_automation, record_use
from novita_manager.lanes import show_alive
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


@pytest.fixture(name="instance")
def _instance() -> Instance:
    now = timezone.now()
    ProviderAccount.objects.create(name="simulator", first_contact_at=now, complete_list_at=now, balance_usd=Decimal(100))
    show_alive("worker", now)
    return running("trainer", at=now)


def _touch_machine(**values: object) -> Callable[[Instance], object]:
    return lambda instance: Machine.objects.filter(current_of=instance).update(**values)


CHANGES: dict[str, Callable[[Instance], object]] = {
    "a setting": lambda one: change_settings(one.pk, {"owner": "speech"}, actor=KEY, reason="", now=timezone.now()),
    "a use": lambda one: record_use(one.pk, at=timezone.now(), actor=KEY, now=timezone.now()),
    "an observation": _touch_machine(observed_at=timezone.now() + timedelta(seconds=1)),
    "a price": _touch_machine(price_usd_per_hour=Decimal("0.5")),
    "a reclaim": _touch_machine(spot_status="notified"),
    "what is next": lambda one: Instance.objects.filter(pk=one.pk).update(next_auto_stop_action={"what": "stop"}),
    "a newcomer": lambda _: running("newcomer", at=timezone.now()),
    "an alarm": lambda _: raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=timezone.now()),
    "a pause": lambda _: pause_automation(
        until=timezone.now() + timedelta(hours=1), reason="", actor=KEY, now=timezone.now()
    ),
    "a new list": lambda _: ProviderAccount.objects.update(complete_list_at=timezone.now() + timedelta(seconds=1)),
    "the balance": lambda _: ProviderAccount.objects.update(balance_usd=Decimal(99)),
    "a freeze": lambda _: ProviderAccount.objects.update(frozen_since=timezone.now(), frozen_reason="unknown key"),
    "a silent worker": lambda _: PeriodicWork.objects.filter(name="worker").update(finished_at=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_shown_and_then_stands_still_again(ann: Client, instance: Instance, change: str) -> None:
    before = ann.get("/fleet/rows")
    assert ann.get("/fleet/rows", headers={"If-None-Match": before["ETag"]}).status_code == 304

    CHANGES[change](instance)

    after = ann.get("/fleet/rows", headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    assert ann.get("/fleet/rows", headers={"If-None-Match": after["ETag"]}).status_code == 304


def test_an_alarm_that_ends_is_a_change(ann: Client, instance: Instance) -> None:
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=timezone.now())
    before = ann.get("/fleet/rows")
    clear_alarm("no_metrics", "x", now=timezone.now())
    assert ann.get("/fleet/rows", headers={"If-None-Match": before["ETag"]}).status_code == 200


def test_an_unchanged_page_costs_three_queries(
    ann: Client, instance: Instance, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    etag = ann.get("/fleet/rows")["ETag"]
    with django_assert_max_num_queries(3):
        assert ann.get("/fleet/rows", headers={"If-None-Match": etag}).status_code == 304


def test_it_costs_a_member_of_a_group_no_more(
    instance: Instance, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    bob = signed_in(person("bob", "view_instance"))
    etag = bob.get("/fleet/rows")["ETag"]
    with django_assert_max_num_queries(3):
        assert bob.get("/fleet/rows", headers={"If-None-Match": etag}).status_code == 304


def test_what_one_person_sees_is_not_vouched_for_another(ann: Client, instance: Instance) -> None:
    bob = signed_in(person("bob", "view_instance"))
    assert ann.get("/fleet/rows")["ETag"] != bob.get("/fleet/rows")["ETag"]
    assert ann.get("/fleet/rows")["ETag"] != ann.get("/fleet/rows?q=x")["ETag"]
