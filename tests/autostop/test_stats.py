from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from autostop.models import RecordedDecision
from autostop.stats import Stop, saving_of, savings
from instances.models import RunningInterval
from tests.autostop.rows import running_instance

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = NOW - 10 * HOUR


def stop(**changes: Any) -> Stop:
    """Of a machine at $2 per hour, shown stopped after six minutes."""
    values: dict[str, Any] = {
        "at": AT,
        "price_usd_per_hour": Decimal(2),
        "billing_mode": "spot",
        "billed": [(AT - HOUR, AT + HOUR / 10)],
    }
    return Stop(**values | changes)


@pytest.mark.parametrize(
    ("changes", "hours"),
    [
        ({}, "9.9"),
        ({"billed": [(AT - HOUR, AT + HOUR / 10), (AT + 3 * HOUR, None)]}, "2.9"),
        ({"ended_at": AT + 2 * HOUR}, "1.9"),
        ({"billed": [(AT - HOUR, None)]}, "0"),
        ({"billing_mode": "monthly"}, "0"),
        ({"price_usd_per_hour": None}, "0"),
        ({"at": AT - 90 * HOUR, "billed": [(AT - 95 * HOUR, AT - 89 * HOUR)]}, "24"),
    ],
    ids=["still off", "started again", "ended", "not shown stopped", "monthly", "price unknown", "a day at most"],
)
def test_a_stop_saves_its_price_for_the_time_it_was_really_off(changes: dict[str, Any], hours: str) -> None:
    length, usd = saving_of(stop(**changes), NOW)

    assert length == timedelta(hours=float(hours))
    assert usd == Decimal(hours) * 2


@pytest.mark.django_db
def test_the_sum_of_many_takes_two_queries(django_assert_num_queries: Any) -> None:
    for number in range(3):
        instance = running_instance(f"box-{number}")
        assert instance.machine is not None
        RunningInterval.objects.create(machine=instance.machine, started_at=AT - HOUR, ended_at=AT)
        RecordedDecision.objects.create(
            instance=instance,
            action="stop",
            code="idle",
            reason="idle",
            decided_at=AT,
            acted=True,
            price_usd_per_hour=Decimal("0.5"),
            billing_mode="spot",
        )

    with django_assert_num_queries(2):
        found = savings(NOW, since=NOW - timedelta(days=30))

    assert (found.stops, found.counted, found.length, found.usd) == (3, 3, 30 * HOUR, Decimal(15))
