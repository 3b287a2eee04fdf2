"""/costs: what was spent, by whom and what for, and how sure that is."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.api.times import rfc3339
from instances.models import Instance, RunningInterval
from tests.factories import NOW, make_instance
from tests.instances.api.calls import Caller, fields

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def ran(instance: Instance, start: datetime, end: datetime | None, price: str = "1", **bounds: Any) -> None:
    assert instance.machine is not None
    RunningInterval.objects.create(
        machine=instance.machine, started_at=start, ended_at=end, price_usd_per_hour=Decimal(price), **bounds
    )


def spender(name: str = "one", **columns: Any) -> Instance:
    return make_instance(name=name, now=NOW - 100 * HOUR, **columns)


def costs(query: str = "", *, now: datetime = NOW) -> Any:
    with time_machine.travel(now, tick=False):
        return Caller(name=f"k{query}").get(f"/costs{query}").json()


def test_intervals_are_clipped_to_the_span_and_one_that_runs_ends_now() -> None:
    one = spender()
    ran(one, NOW - 50 * HOUR, NOW - 40 * HOUR)
    ran(one, NOW - 10 * HOUR, NOW - 5 * HOUR, "2")
    ran(one, NOW - 1 * HOUR, None, "4")

    body = costs(f"?from={rfc3339(NOW - 42 * HOUR)}&to={rfc3339(NOW + HOUR)}")

    assert (body["to"], body["by"]) == (rfc3339(NOW), "instance")
    [row] = body["results"]
    assert (row["key"], row["name"], row["compute_usd"], row["instance_hours"]) == (str(one.pk), "one", "16.000000", "8.000")
    assert body["total"] == {name: value for name, value in row.items() if name not in ("key", "name")}


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("?by=owner", {"maya": "3.000000", "": "4.000000"}),
        ("?by=product", {"RTX 4090 24GB": "3.000000", "H100": "4.000000"}),
        ("?by=billing_mode", {"spot": "3.000000", "on_demand": "4.000000"}),
        ("?by=label&label=team", {"team=vision": "1.000000", "team=audio": "2.000000", "": "4.000000"}),
        ("?by=label", {"team=vision": "1.000000", "team=audio": "2.000000", "night=yes": "2.000000", "": "4.000000"}),
    ],
)
def test_groups_are_sums_of_decimal_strings_the_dearest_first(query: str, keys: dict[str, str]) -> None:
    first = spender(owner="maya", labels={"team": "vision"})
    second = spender("two", owner="maya", labels={"team": "audio", "night": "yes"})
    third = spender("three", machine={"product_name": "H100", "billing_mode": "on_demand"})
    for number, one in enumerate((first, second, third)):
        ran(one, NOW - HOUR, None, str(2**number))

    body = costs(query)

    assert {row["key"]: row["compute_usd"] for row in body["results"]} == keys
    amounts = [Decimal(row["total_usd"]) for row in body["results"]]
    assert amounts == sorted(amounts, reverse=True)
    assert body["total"]["compute_usd"] == "7.000000"


def test_disks_are_apart_dearer_while_it_stands() -> None:
    one = spender(
        status="exited",
        machine={
            "rootfs_size_gb": 100,
            "free_disk_gb": 60,
            "disk_usd_per_gb_day": Decimal("0.005"),
            "stopped_disk_usd_per_gb_day": Decimal("0.006"),
        },
    )
    ran(one, NOW - 48 * HOUR, NOW - 24 * HOUR)

    [row] = costs()["results"]

    assert (row["compute_usd"], row["disk_usd"], row["total_usd"]) == ("24.000000", "0.800000", "24.800000")


def test_what_the_bounds_leave_open_is_told() -> None:
    one = spender()
    second = timedelta(seconds=1)
    ran(
        one,
        NOW - HOUR,
        NOW - HOUR / 2,
        "3600",
        started_not_before=NOW - HOUR - 5 * second,
        started_not_after=NOW - HOUR + second,
        ended_not_before=NOW - HOUR / 2,
        ended_not_after=NOW - HOUR / 2 + 2 * second,
    )

    assert costs()["total"]["uncertain_usd"] == "7.000000"


def test_it_costs_the_same_queries_however_many_there_are() -> None:
    caller = Caller()

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert caller.get("/costs").status_code == 200
        return len(queries)

    ran(spender(), NOW - HOUR, None)
    count()
    few = count()
    for number in range(20):
        ran(spender(f"worker-{number}"), NOW - HOUR, None)
    assert count() == few


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?by=colour", "by"),
        ("?by=owner&label=team", "label"),
        ("?from=yesterday", "from"),
        ("?from=2026-11-24T12:00:00Z&to=2026-11-23T12:00:00Z", "from"),
        ("?from=2020-01-01T00:00:00Z", "from"),
        ("?since=2020-01-01T00:00:00Z", "since"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(query: str, field: str) -> None:
    answer = Caller().get(f"/costs{query}")

    assert (answer.status_code, list(fields(answer))) == (400, [field])


def test_a_key_without_the_scope_to_read_sees_no_money() -> None:
    assert Caller("read").get("/costs").status_code == 200
    assert Caller().client.get("/api/v1/costs", headers={"Authorization": ""}).status_code == 401
