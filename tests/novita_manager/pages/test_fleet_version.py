"""The part of the fleet page that is asked for again and again: 304 for little, and never while something shown differs."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from instances.alarms import acknowledge, clear_alarm, raise_alarm
from instances.models import Alarm, Instance, Machine, PeriodicWork, ProviderAccount
from instances.operations import change_settings, pause_automation, record_use
from novita_manager.lanes import show_alive
from novita_manager.pages.fleet_query import ENDED_STAY, PAGE_ROWS
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
    raise_alarm("told", "x", text="as it was told first", remedy="Look", now=now)
    instance = running("trainer", at=now)
    Machine.objects.create(
        instance=instance,
        novita_id="spare",
        status="running",
        billed_since=now,
        billed_price_usd_per_hour=Decimal("1.5"),
        created_at=now,
    )
    return instance


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
    "what an alarm says": lambda _: raise_alarm("told", "x", text="and now?", remedy="Look", now=timezone.now()),
    "a spare machine that is stopped": lambda _: Machine.objects.filter(novita_id="spare").update(
        status="exited", billed_since=None, billed_price_usd_per_hour=None
    ),
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


def test_what_leaves_with_time_alone_is_a_change(ann: Client) -> None:
    now = timezone.now().replace(hour=12, minute=0)
    with time_machine.travel(now, tick=False) as clock:
        for number in range(PAGE_ROWS):
            running(f"trainer-{number}", at=now)
        running("ended", at=now, phase="deleted", ended_at=now - ENDED_STAY + timedelta(seconds=5))
        raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=now)
        acknowledge(Alarm.objects.get().pk, actor=KEY, reason="seen by me", until=now + timedelta(seconds=20), now=now)
        for name in ("worker", "beat"):
            show_alive(name, now)
        before = ann.get("/fleet/rows")
        assert "51 instances" in before.content.decode()
        assert "seen by me" in before.content.decode()

        clock.shift(10)
        after = ann.get("/fleet/rows", headers={"If-None-Match": before["ETag"]})
        assert "50 instances" in after.content.decode()
        clock.shift(10)
        lapsed = ann.get("/fleet/rows", headers={"If-None-Match": after["ETag"]})
        assert lapsed.status_code == 200
        assert "seen by me" not in lapsed.content.decode()
        clock.shift(20)
        assert ann.get("/fleet/rows", headers={"If-None-Match": lapsed["ETag"]}).status_code == 200  # the worker is silent


def test_an_empty_product_tells_its_first_alarm(ann: Client) -> None:
    PeriodicWork.objects.all().delete()
    before = ann.get("/fleet/rows")
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=timezone.now())
    assert ann.get("/fleet/rows", headers={"If-None-Match": before["ETag"]}).status_code == 200


def test_the_whole_page_costs_a_member_of_a_group_fifteen_queries_at_most(
    instance: Instance, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    bob = signed_in(person("bob", "view_instance", "change_instance"))
    with django_assert_max_num_queries(15):
        assert bob.get("/").status_code == 200
