"""Alarms about money: the balance, what nobody here made, freezing, data about to be purged."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.alarms import acknowledge
from instances.attempts import SURPLUS, note_surplus
from instances.discovery import discover
from instances.models import Alarm, Event, Instance, Job, Machine, ProviderAccount
from instances.novita.types import RemoteInstance
from instances.readings import reading_of
from instances.runway import lasts, level
from sync import money
from tests.driving import Drive, driving
from tests.factories import NOW, PERSON, make_account, make_instance, make_job, make_offer
from tests.instances.novita.simulator.driver import GPU

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
DAY = 24 * HOUR


def running(price: str = "1", **columns: Any) -> Instance:
    instance = make_instance(**columns)
    Machine.objects.filter(instance=instance).update(billed_since=NOW, billed_price_usd_per_hour=Decimal(price))
    return instance


def alarm(kind: str) -> Alarm | None:
    return Alarm.objects.filter(kind=kind, cleared_at=None).first()


def told(kind: str) -> list[str]:
    events = Event.objects.filter(after__kind=kind).order_by("id").values_list("type", flat=True)
    return [type_.removeprefix("alarm.") for type_ in events]


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, balance_usd=1000.0) as one:
        yield one


def test_a_subscription_is_no_burn_and_nobody_is_told_that_it_bills(drive: Drive) -> None:
    drive.novita.create(billingMode="monthly", month=1)
    hourly = drive.novita.create()
    drive.let_pass(60, step=5)
    money.watch(drive.now)
    found = alarm("unmanaged_billing")
    assert found is not None
    assert (found.text.startswith("1 instance was not made here"), hourly in found.text) == (True, True)
    assert Machine.objects.filter(billed_since__isnull=False).count() == 2
    burn = money.burn_usd_per_hour()

    taken = drive.novita.write(f"{GPU}/gpu/instance/transToMonthlyInstance", instanceId=hourly, month=1)
    assert taken.status_code == 200, taken.text
    drive.let_pass(60, step=15)
    money.watch(drive.now)

    assert 0 == money.burn_usd_per_hour() < burn
    assert alarm("unmanaged_billing") is None
    paid = drive.novita.look("bill")["instances"]
    for machine in Machine.objects.all():
        [truth] = [one["compute_usd"] for one in paid if one["id"] == machine.novita_id]
        assert float(machine.cost_usd(drive.now)) == pytest.approx(truth, abs=float(burn) / 120)  # half a minute of it


def test_what_began_to_run_before_the_catalogue_was_read_is_priced_by_it_from_its_begin() -> None:
    reading = reading_of(RemoteInstance(id="nvx", status="running", billing_mode="on_demand", product_id="p1", gpu_num=2))
    reading.columns["cluster_id"] = "cluster-CN-HK-01"
    discover([reading], began_at=NOW, now=NOW)
    money.watch(NOW + HOUR)
    assert money.burn_usd_per_hour() == 0

    make_offer(product_id="p1", on_demand="0.5")
    money.watch(NOW + 2 * HOUR)

    assert money.burn_usd_per_hour() == 1
    assert Machine.objects.get().cost_usd(NOW + 2 * HOUR) == 2
    found = alarm("unmanaged_billing")
    assert found is not None
    assert "$1.00 per hour together, $2.00 so far" in found.text


@pytest.mark.parametrize(("hours", "worse"), [(73, 0), (72, 1), (25, 1), (24, 2), (6.5, 2), (6, 3), (0.01, 3), (0, 4)])
def test_the_levels_are_72_24_and_6_hours_and_nothing_left(hours: float, worse: int) -> None:
    assert level(lasts(Decimal(str(hours)), Decimal(1))) == worse


def test_what_spends_nothing_lasts_for_ever_unless_nothing_is_left() -> None:
    assert (level(lasts(Decimal(5), Decimal(0))), level(lasts(Decimal(0), Decimal(0)))) == (0, 4)


def test_the_balance_is_one_alarm_that_grows_worse_and_ends_with_a_payment() -> None:
    make_account(balance_usd=Decimal(100), balance_read_at=NOW)
    running()
    money.watch_balance(NOW)
    assert alarm("balance_runway") is None

    for hours in range(0, 101):
        money.watch_balance(NOW + hours * HOUR)

    assert told("balance_runway") == ["opened", "escalated", "escalated", "escalated"]
    found = alarm("balance_runway")
    assert found is not None
    assert "is used up" in found.text
    ProviderAccount.objects.update(balance_usd=Decimal(500), balance_read_at=NOW + 101 * HOUR)
    money.watch_balance(NOW + 101 * HOUR)
    assert told("balance_runway")[-1] == "cleared"


def test_disks_of_stopped_ones_burn_too() -> None:
    running("1.5")
    stopped = {"rootfs_size_gb": 100, "stopped_disk_usd_per_gb_day": Decimal("0.0048")}
    make_instance(status="exited", machine=stopped)

    assert money.burn_usd_per_hour() == Decimal("1.52")


def test_what_nobody_made_here_is_told_every_day_until_somebody_knows() -> None:
    running(managed=False, name="dev", machine={"provider_name": "dev"})
    running("2", managed=False, name="", machine={"provider_name": ""})
    running("50")  # ours

    for hours in range(0, 49):
        money.watch_unmanaged(NOW + hours * HOUR)
    assert told("unmanaged_billing") == ["opened", "repeated", "repeated"]
    found = alarm("unmanaged_billing")
    assert found is not None
    assert "2 instances were not made here and billed at $3.00 per hour together, $144.00 so far" in found.text
    assert "dev (nv" in found.text

    acknowledge(found.pk, actor=PERSON, reason="they are the agency's", until=None, now=NOW + 50 * HOUR)
    for hours in range(50, 200):
        money.watch_unmanaged(NOW + hours * HOUR)
    assert told("unmanaged_billing") == ["opened", "repeated", "repeated", "acknowledged"]

    running(managed=False)  # another one, found later
    money.watch_unmanaged(NOW + 201 * HOUR)
    assert told("unmanaged_billing")[-1] == "escalated"
    Machine.objects.update(billed_since=None, billed_price_usd_per_hour=None)
    money.watch_unmanaged(NOW + 202 * HOUR)
    assert alarm("unmanaged_billing") is None


def surplus(instance: Instance, novita_id: str = "second", price: str | None = "0.35") -> Machine:
    billed = {"billed_since": NOW, "billed_price_usd_per_hour": Decimal(price) if price else None}
    columns: dict[str, Any] = {"status": "running", "created_at": NOW, "observed_at": NOW, **billed}
    return Machine.objects.create(instance=instance, novita_id=novita_id, **columns)


def watch_for_days(first: int, last: int) -> None:
    for hours in range(first * 24, last * 24):
        money.watch_surplus(NOW + hours * HOUR)


@pytest.mark.parametrize("ended", [False, True])
def test_a_surplus_machine_is_told_every_day_with_what_it_costs_until_somebody_knows(*, ended: bool) -> None:
    columns: dict[str, Any] = {"wanted": "deleted", "machine": {"absent_at": NOW}} if ended else {}
    instance = make_instance(name="train-1", **columns)
    machine = surplus(instance)
    note_surplus(instance, machine, now=NOW, how="found in a list")

    watch_for_days(0, 3)
    assert told(SURPLUS) == ["opened", "repeated", "repeated"]
    found = alarm(SURPLUS)
    assert found is not None
    assert (found.instance, found.last_seen_at) == (instance, NOW + 71 * HOUR)
    assert f"train-1{', which is deleted,' if ended else ''} has a" in found.text
    assert "billed at $0.35 per hour, $16.80 so far" in found.text

    acknowledge(found.pk, actor=PERSON, reason="a test of ours", until=NOW + 5 * DAY, now=NOW + 3 * DAY)
    watch_for_days(3, 7)
    assert told(SURPLUS)[3:] == ["acknowledged", "repeated", "repeated"]


def test_a_billed_machine_that_is_not_the_one_in_use_is_named_though_nobody_did() -> None:
    instance = make_instance()
    machine = surplus(instance, price=None)

    watch_for_days(0, 2)

    machine.refresh_from_db()
    assert (told(SURPLUS), machine.surplus_since) == (["opened", "repeated"], NOW)
    assert instance.events.filter(type="instance.surplus_found").count() == 1
    found = alarm(SURPLUS)
    assert found is not None
    assert "a price that Novita has not told" in found.text


@pytest.mark.parametrize("role", ["machine", "old"])
def test_one_that_an_open_replacement_has_in_hand_is_left_to_it(role: str) -> None:
    instance = make_instance()
    job = make_job(instance, verb="replace", state="confirming", arguments={role: surplus(instance).pk})

    watch_for_days(0, 2)
    assert told(SURPLUS) == []

    Job.objects.filter(pk=job.pk).update(state="succeeded", finished_at=NOW)
    watch_for_days(2, 3)
    assert told(SURPLUS) == ["opened"]


@pytest.mark.parametrize("end", ["gone", "in use"])
def test_one_that_is_stopped_is_not_told_again_and_one_that_is_gone_or_in_use_no_more(end: str) -> None:
    instance = make_instance()
    machine = surplus(instance)
    note_surplus(instance, machine, now=NOW, how="found in a list")
    Machine.objects.filter(pk=machine.pk).update(status="exited", billed_since=None, billed_price_usd_per_hour=None)

    watch_for_days(0, 3)
    assert told(SURPLUS) == ["opened"]

    if end == "gone":
        Machine.objects.filter(pk=machine.pk).update(absent_at=NOW)
    else:
        Instance.objects.filter(pk=instance.pk).update(machine=machine)
    watch_for_days(3, 4)
    assert told(SURPLUS) == ["opened", "cleared"]


def test_a_quiet_minute_asks_the_same_however_many_there_are() -> None:
    asked = []
    for number in range(2):
        for more in range(1 + 4 * number):
            instance = make_instance()
            machine = surplus(instance, f"second-{number}-{more}")
            note_surplus(instance, machine, now=NOW, how="found in a list")
        with CaptureQueriesContext(connection) as context:
            money.watch_surplus(NOW + HOUR)
        asked.append(len(context))

    assert asked == [4, 4]


def test_freezing_is_an_alarm_while_novita_shows_it() -> None:
    instance = make_instance(status="freezing")

    money.watch_freezing(NOW)
    found = alarm("account_freezing")
    assert found is not None
    assert str(instance.machine) in found.text
    Machine.objects.update(status="exited")
    money.watch_freezing(NOW)
    assert alarm("account_freezing") is None


def test_a_purge_is_told_three_days_and_one_day_before() -> None:
    machine = {
        "data_purged_at": NOW + 7 * DAY,
        "rootfs_size_gb": 100,
        "stopped_disk_usd_per_gb_day": Decimal("0.005"),
    }
    instance = make_instance(name="old", status="exited", machine=machine)

    for hours in range(0, 7 * 24):
        money.watch_purges(NOW + hours * HOUR)

    assert told("data_purge") == ["opened", "escalated"]
    [opened, escalated] = Event.objects.filter(after__kind="data_purge").order_by("id")
    assert (opened.at, escalated.at) == (NOW + 4 * DAY, NOW + 6 * DAY)
    assert "its disks cost $0.50 per day" in opened.reason
    assert opened.instance == instance
    money.watch_purges(NOW + 7 * DAY)
    assert alarm("data_purge") is None


def test_a_pass_does_all_of_it_once_a_minute() -> None:
    make_account(balance_usd=Decimal(1), balance_read_at=NOW)
    surplus(running(managed=False))

    assert money.watch_if_due(NOW)
    assert not money.watch_if_due(NOW)
    assert {one.kind for one in Alarm.objects.all()} == {"balance_runway", "unmanaged_billing", SURPLUS}
