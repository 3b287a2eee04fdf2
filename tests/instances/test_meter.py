"""The meter follows what Novita shows, by Novita's own times where they are plausible, at the price of the start."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instances.lifecycle import BILLED, Observed
from instances.meter import METER_COLUMNS, follow, listed_price_usd_per_hour
from instances.models import Machine, RunningInterval
from instances.models.machine import interval_usd
from instances.observation import observe_quietly
from instances.readings import Reading
from tests.factories import NOW, make_instance, make_offer

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FREE = [Observed.NOTHING, Observed.CREATING, Observed.EXITED, Observed.ABSENT]


def machine(**columns: Any) -> Machine:
    """One that no read has shown yet, at $0.36 per hour."""
    values = {"price_usd_per_hour": Decimal("0.36"), "running_since": None}
    found = make_instance(status="creating", machine={**values, **columns}).machine
    assert found is not None
    return found


def see(one: Machine, observed: Observed, at: datetime, **columns: Any) -> None:
    """A read as `observation` hands it on: its columns first, then the meter, then one save."""
    for name, value in columns.items():
        setattr(one, name, value)
    follow(one, observed, read_began_at=at)
    one.save(update_fields=[*METER_COLUMNS, *columns])


def intervals(one: Machine) -> list[tuple[datetime, datetime | None]]:
    return list(RunningInterval.objects.filter(machine=one).order_by("id").values_list("started_at", "ended_at"))


def test_the_meter_starts_at_pulling_and_ends_when_novita_shows_it_stopped() -> None:
    one = machine()
    see(one, Observed.CREATING, NOW)
    see(one, Observed.PULLING, NOW + MINUTE)
    see(one, Observed.STARTING, NOW + 2 * MINUTE)
    see(one, Observed.RUNNING, NOW + 3 * MINUTE)
    see(one, Observed.STOPPING, NOW + 60 * MINUTE)
    assert one.metered_usd == 0

    see(one, Observed.EXITED, NOW + 61 * MINUTE)

    assert intervals(one) == [(NOW + MINUTE, NOW + 61 * MINUTE)]
    one.refresh_from_db()
    assert (one.metered_usd, one.billed_since, one.billed_price_usd_per_hour) == (Decimal("0.36"), None, None)


def test_an_open_interval_goes_on_through_every_billed_state_and_an_unfamiliar_one() -> None:
    one = machine()
    see(one, Observed.RUNNING, NOW)
    for number, observed in enumerate(sorted(BILLED), start=1):
        see(one, observed, NOW + number * MINUTE)

    assert intervals(one) == [(NOW, None)]
    assert one.cost_usd(NOW + HOUR) == Decimal("0.36")


@pytest.mark.parametrize("observed", [one for one in FREE if one is not Observed.NOTHING])
def test_whatever_is_not_billed_closes_the_interval_once(observed: Observed) -> None:
    one = machine()
    see(one, Observed.RUNNING, NOW)

    see(one, observed, NOW + HOUR)
    see(one, observed, NOW + 2 * HOUR)

    assert intervals(one) == [(NOW, NOW + HOUR)]
    assert one.cost_usd(NOW + 9 * HOUR) == Decimal("0.36")


@pytest.mark.parametrize("observed", FREE)
def test_what_is_not_billed_opens_nothing(observed: Observed) -> None:
    one = machine()

    see(one, observed, NOW)

    assert intervals(one) == []


def test_an_unfamiliar_status_changes_nothing_either_way() -> None:
    idle, busy = machine(), machine()
    see(busy, Observed.RUNNING, NOW)

    see(idle, Observed.UNKNOWN, NOW + MINUTE)
    see(busy, Observed.UNKNOWN, NOW + MINUTE, stopped_at=NOW + MINUTE)

    assert intervals(idle) == []
    assert intervals(busy) == [(NOW, None)]


def test_novitas_own_times_bound_the_interval() -> None:
    one = machine()

    see(one, Observed.RUNNING, NOW, started_at=NOW - 5 * MINUTE)
    see(one, Observed.EXITED, NOW + HOUR, stopped_at=NOW + HOUR - 5 * MINUTE)

    assert intervals(one) == [(NOW - 5 * MINUTE, NOW + HOUR - 5 * MINUTE)]
    assert one.metered_usd == Decimal("0.36")


def test_times_that_cannot_be_are_not_believed() -> None:
    ahead = machine()
    see(ahead, Observed.RUNNING, NOW, started_at=NOW + MINUTE)
    see(ahead, Observed.EXITED, NOW + HOUR, stopped_at=NOW + 2 * HOUR)
    assert intervals(ahead) == [(NOW, NOW + HOUR)]

    behind = machine()
    see(behind, Observed.RUNNING, NOW)
    see(behind, Observed.EXITED, NOW + HOUR, stopped_at=NOW - HOUR)
    assert intervals(behind) == [(NOW, NOW + HOUR)]


def test_the_start_of_a_former_run_is_not_the_start_of_this_one() -> None:
    one = machine()
    see(one, Observed.RUNNING, NOW, started_at=NOW)
    see(one, Observed.EXITED, NOW + HOUR, stopped_at=NOW + HOUR)

    see(one, Observed.STARTING, NOW + 2 * HOUR)

    assert intervals(one) == [(NOW, NOW + HOUR), (NOW + 2 * HOUR, None)]


def test_pulling_is_billed_from_the_read_whatever_start_novita_tells() -> None:
    one = machine()

    see(one, Observed.PULLING, NOW, started_at=NOW - HOUR)

    assert intervals(one) == [(NOW, None)]


def test_the_price_is_that_of_the_start() -> None:
    one = machine()
    see(one, Observed.RUNNING, NOW)

    see(one, Observed.RUNNING, NOW + MINUTE, price_usd_per_hour=Decimal("9.99"))
    see(one, Observed.EXITED, NOW + HOUR)
    see(one, Observed.RUNNING, NOW + 2 * HOUR)
    see(one, Observed.EXITED, NOW + 3 * HOUR)

    prices = RunningInterval.objects.filter(machine=one).order_by("id").values_list("price_usd_per_hour", flat=True)
    assert list(prices) == [Decimal("0.36"), Decimal("9.99")]
    assert one.metered_usd == Decimal("10.35")


def test_a_price_that_novita_does_not_tell_is_the_catalogues() -> None:
    offer = make_offer(spot="0.20", on_demand="0.50")
    where = {"cluster_id": offer.cluster_id, "product_id": offer.product_id, "price_usd_per_hour": None, "gpu_num": 2}
    spot, on_demand = machine(**where), machine(**where, billing_mode="on_demand")

    see(spot, Observed.RUNNING, NOW)
    see(on_demand, Observed.RUNNING, NOW)

    assert (spot.billed_price_usd_per_hour, on_demand.billed_price_usd_per_hour) == (Decimal("0.40"), Decimal("1.00"))


def test_without_any_price_the_time_is_kept_and_costs_nothing() -> None:
    one = machine(price_usd_per_hour=None)
    see(one, Observed.RUNNING, NOW)
    see(one, Observed.EXITED, NOW + HOUR)

    assert listed_price_usd_per_hour(one) is None
    assert intervals(one) == [(NOW, NOW + HOUR)]
    assert one.metered_usd == 0


def prices(one: Machine) -> list[Decimal | None]:
    return list(RunningInterval.objects.filter(machine=one).order_by("id").values_list("price_usd_per_hour", flat=True))


@pytest.mark.parametrize("shown", [Observed.RUNNING, Observed.UNKNOWN, Observed.EXITED])
def test_a_price_told_after_the_start_is_that_of_the_open_interval_from_its_begin(shown: Observed) -> None:
    one = machine(price_usd_per_hour=None, product_id="nothing-we-know")
    see(one, Observed.RUNNING, NOW - 2 * HOUR)
    see(one, Observed.EXITED, NOW - HOUR)
    see(one, Observed.RUNNING, NOW)

    see(one, shown, NOW + HOUR, price_usd_per_hour=Decimal("2.5"))

    assert (prices(one), one.cost_usd(NOW + HOUR)) == ([None, Decimal("2.5")], Decimal("2.5"))


def test_a_price_once_frozen_stays_whatever_is_told_later() -> None:
    one = machine()
    see(one, Observed.RUNNING, NOW)

    see(one, Observed.RUNNING, NOW + HOUR, price_usd_per_hour=Decimal("2.5"))

    assert prices(one) == [Decimal("0.36")]


def test_a_list_that_tells_nothing_but_the_price_prices_what_runs() -> None:
    one = machine(price_usd_per_hour=None, product_id="nothing-we-know")
    see(one, Observed.RUNNING, NOW, status="running")
    told = {"status": "running", "billing_mode": "spot", "provider_name": "", "price_usd_per_hour": Decimal("2.5")}
    reading = Reading(novita_id=one.novita_id or "", columns=told)

    observe_quietly({one.pk: reading}, began_at=NOW + MINUTE, account=None)

    one.refresh_from_db()
    assert (prices(one), one.cost_usd(NOW + HOUR)) == ([Decimal("2.5")], Decimal("2.5"))


def test_a_subscription_is_paid_by_the_month_and_its_hours_cost_nothing() -> None:
    one = machine(billing_mode="monthly")
    see(one, Observed.RUNNING, NOW)
    see(one, Observed.RUNNING, NOW + HOUR, price_usd_per_hour=Decimal("2.5"))

    assert (prices(one), one.cost_usd(NOW + 2 * HOUR)) == ([Decimal(0)], Decimal(0))
    assert (one.billed_price_usd_per_hour, one.price_usd_per_hour) == (Decimal(0), Decimal("2.5"))


def test_a_subscription_whose_price_nobody_knows_costs_nothing_either() -> None:
    one = machine(billing_mode="monthly", price_usd_per_hour=None, product_id="nothing-we-know")
    see(one, Observed.RUNNING, NOW)

    assert prices(one) == [0]


def test_one_that_becomes_a_subscription_is_billed_by_the_hour_until_the_read_that_shows_it() -> None:
    one = machine(billing_mode="on_demand")
    see(one, Observed.RUNNING, NOW)
    see(one, Observed.RUNNING, NOW + HOUR, billing_mode="monthly")
    see(one, Observed.RUNNING, NOW + 2 * HOUR)

    assert intervals(one) == [(NOW, NOW + HOUR), (NOW + HOUR, None)]
    assert (prices(one), one.cost_usd(NOW + 2 * HOUR)) == ([Decimal("0.36"), 0], Decimal("0.36"))

    see(one, Observed.RUNNING, NOW + 3 * HOUR, billing_mode="on_demand")
    assert one.cost_usd(NOW + 4 * HOUR) == Decimal("0.72")


def test_an_instance_costs_what_all_of_its_machines_cost() -> None:
    first = machine()
    see(first, Observed.RUNNING, NOW)
    see(first, Observed.ABSENT, NOW + HOUR)
    second = Machine.objects.create(
        instance=first.instance, novita_id="second", created_at=NOW, price_usd_per_hour=Decimal("1.00")
    )
    see(second, Observed.RUNNING, NOW + HOUR)

    assert first.instance.cost_usd(NOW + 2 * HOUR) == Decimal("1.36")


def test_an_interval_never_costs_less_than_nothing() -> None:
    assert interval_usd(NOW, NOW - HOUR, Decimal("1")) == 0
    assert interval_usd(NOW, NOW + HOUR, None) == 0


STATES = st.lists(st.tuples(st.sampled_from(list(Observed)), st.integers(-90, 90), st.integers(-90, 90)), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STATES)
def test_intervals_never_overlap_and_never_bill_what_novita_showed_stopped(
    reads: list[tuple[Observed, int, int]],
) -> None:
    one = machine()
    for number, (observed, started, stopped) in enumerate(reads):
        at = NOW + number * HOUR
        see(one, observed, at, started_at=at + started * MINUTE, stopped_at=at + stopped * MINUTE)
        known = [seen for seen, _, _ in reads[: number + 1] if seen is not Observed.UNKNOWN]
        if known and known[-1] not in BILLED:
            assert one.billed_since is None

    rows = intervals(one)
    ends = [end for _, end in rows]
    assert all(end is not None and start <= end for start, end in rows[:-1])
    assert all(end is not None and end <= start for end, (start, _) in zip(ends, rows[1:], strict=False))
    closed = RunningInterval.objects.filter(machine=one).exclude(ended_at=None)
    hours = sum((row.ended_at - row.started_at for row in closed if row.ended_at), timedelta(0)) / HOUR
    assert abs(float(one.metered_usd) - 0.36 * hours) < 0.0001
    assert (one.billed_since is None) == (not ends or ends[-1] is not None)


def test_a_stop_and_a_start_between_two_reads_are_two_intervals() -> None:
    one = machine()
    see(one, Observed.RUNNING, NOW)

    see(one, Observed.RUNNING, NOW + HOUR, stopped_at=NOW + 10 * MINUTE, started_at=NOW + 40 * MINUTE)

    assert intervals(one) == [(NOW, NOW + 10 * MINUTE), (NOW + 40 * MINUTE, None)]
    assert one.cost_usd(NOW + HOUR) == Decimal("0.18")


def test_a_start_older_than_the_last_stop_is_not_the_start_of_this_run() -> None:
    one = machine()

    see(one, Observed.RUNNING, NOW, started_at=NOW - 2 * HOUR, stopped_at=NOW - HOUR)

    assert intervals(one) == [(NOW, None)]


@pytest.mark.parametrize("observed", [Observed.MIGRATING, Observed.REMOVING])
def test_moving_or_removing_a_stopped_one_bills_nothing(observed: Observed) -> None:
    one = machine()
    see(one, Observed.EXITED, NOW)

    see(one, observed, NOW + MINUTE)

    assert intervals(one) == []
