"""What was spent since a moment: the database's sum against one that is written down plainly."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from instances.models import Machine, RunningInterval
from instances.spending import spent_since
from tests.factories import make_instance

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
DAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
MONTH = DAY.replace(day=1)
SINCE = {"day": DAY, "month": MONTH}
TICK = timedelta(microseconds=1)


def interval(started_at: datetime, ended_at: datetime | None, price: str | None = "3600") -> None:
    RunningInterval.objects.create(
        machine=Machine.objects.get(instance=make_instance()),
        started_at=started_at,
        ended_at=ended_at,
        price_usd_per_hour=None if price is None else Decimal(price),
    )


def plainly(since: datetime) -> Decimal:
    total = Decimal(0)
    for one in RunningInterval.objects.all():
        length = min(one.ended_at or NOW, NOW) - max(one.started_at, since)
        total += (one.price_usd_per_hour or 0) * Decimal(str(max(0.0, length.total_seconds()))) / 3600
    return total


@pytest.mark.parametrize("seed", range(5))
def test_intervals_of_all_kinds_add_up(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(25):
        start = MONTH + timedelta(seconds=dice.uniform(-3e5, 2.2e6))
        end = dice.choice([None, start, start + timedelta(seconds=dice.uniform(0, 4e5))])
        interval(start, end, dice.choice([None, "0.35", "0.0875", "1.2"]))

    spent = spent_since(SINCE, until=NOW)

    for name, since in SINCE.items():
        assert abs(spent[name] - plainly(since)) < Decimal("0.00001")


@pytest.mark.parametrize(
    ("started_at", "ended_at"),
    [(DAY, None), (DAY, NOW), (NOW, None), (NOW + timedelta(hours=1), None), (MONTH, DAY), (DAY - TICK, DAY + TICK)],
)
def test_an_interval_counts_as_far_as_it_lies_within(started_at: datetime, ended_at: datetime | None) -> None:
    interval(started_at, ended_at)
    spent = spent_since(SINCE, until=NOW)
    for name, since in SINCE.items():
        assert abs(spent[name] - plainly(since)) < Decimal("0.0000011")


def test_where_nothing_ran_nothing_was_spent() -> None:
    assert spent_since(SINCE, until=NOW) == {"day": Decimal(0), "month": Decimal(0)}
