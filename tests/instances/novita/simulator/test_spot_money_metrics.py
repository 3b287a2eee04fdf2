"""Reclaims, the bill and utilisation over a real socket."""

from itertools import pairwise
from time import time
from typing import Any

import pytest

from tests.instances.novita.simulator.conftest import Start
from tests.instances.novita.simulator.driver import GPU, INSTANCE, Driver, assert_refused, create_body, until

METRICS = "/openapi/v1/metrics/gpu/instance"


def spot_of(novita: Driver, key: str) -> tuple[str, str, str]:
    row = next(row for row in novita.list()["instances"] if row["id"] == key)
    return row["status"], row["spotStatus"], row["spotReclaimTime"]


def test_a_notice_carries_its_deadline_and_can_be_withdrawn(start: Start) -> None:
    novita = start(speed=100.0)
    key = novita.running(billingMode="spot")
    assert spot_of(novita, key) == ("running", "running", "0")

    novita.turn("spot", instance=key, action="notify", deadline_seconds=360_000)
    status, spot_status, deadline = spot_of(novita, key)
    assert (status, spot_status) == ("running", "notified")
    assert abs(int(deadline) - (time() + 3600)) < 5
    assert_refused(novita.command("migrate", key), "CONFLICT")

    novita.turn("spot", instance=key, action="withdraw")
    assert spot_of(novita, key) == ("running", "running", "0")


def test_a_reclaim_happens_at_the_deadline_and_migrate_brings_it_back(start: Start) -> None:
    novita = start(speed=100.0)
    key = novita.running(billingMode="spot")
    free = novita.stock()
    novita.turn("spot", instance=key, action="notify", deadline_seconds=50)
    deadline = spot_of(novita, key)[2]

    until(lambda: spot_of(novita, key) == ("exited", "terminated", deadline))
    assert novita.stock() == free

    assert novita.command("migrate", key).status_code == 200
    until(lambda: spot_of(novita, key) == ("running", "running", "0"))


def test_a_reclaim_at_once_may_give_its_gpu_back(novita: Driver) -> None:
    key = novita.running(billingMode="spot")
    free = novita.stock()

    novita.turn("spot", instance=key, action="reclaim", give_back_stock=True)

    assert spot_of(novita, key)[:2] == ("exited", "terminated")
    assert novita.stock() == free + 1
    novita.command("start", key)
    until(lambda: spot_of(novita, key) == ("running", "running", "0"))


def test_only_spot_instances_are_reclaimed(novita: Driver) -> None:
    key = novita.running()
    answer = novita.session.put(f"{novita.url}/_simulator/spot", json={"instance": key, "action": "reclaim"}, timeout=5)
    assert_refused(answer, "CONFLICT")


def test_the_bill_is_the_price_times_the_metered_seconds(novita: Driver) -> None:
    before = novita.look("state")["balance_usd"]
    key = novita.running(gpuNum=2)
    novita.command("stop", key)
    novita.wait(key, "exited")

    row = next(row for row in novita.look("bill")["instances"] if row["id"] == key)
    (metered,) = [i for i in row["intervals"] if i["kind"] == "compute"]
    times = {moment["status"]: moment["at"] for moment in novita.truth(key)["timeline"]}
    assert (metered["start"], metered["end"]) == (times["pulling"], times["exited"])
    assert metered["usd_per_hour"] == pytest.approx(0.70)
    assert row["compute_usd"] == pytest.approx((metered["end"] - metered["start"]) / 3600 * 0.70)
    spent = before - novita.look("state")["balance_usd"]
    assert spent == pytest.approx(novita.look("bill")["total_usd"], abs=1e-6)


def test_without_balance_nothing_is_created_or_started(start: Start) -> None:
    novita = start(balance_usd=0.0)

    assert_refused(novita.write(f"{INSTANCE}/create", **create_body()), "BALANCE_NOT_ENOUGH")
    assert novita.read("/openapi/v1/billing/balance/detail").json()["availableBalance"] == "0"


def test_when_the_balance_is_spent_everything_freezes(start: Start) -> None:
    novita = start(speed=1000.0, balance_usd=0.0001)
    key = novita.create(gpuNum=8, productId="h100.26c220g")

    until(lambda: "freezing" in [m["status"] for m in novita.truth(key)["timeline"]])
    until(lambda: novita.get(key)["status"] == "exited")
    assert_refused(novita.command("start", key), "EXPIRED_OR_BALANCE_NOT_ENOUGH")


def test_balances_come_in_ten_thousandths(start: Start) -> None:
    novita = start(balance_usd=123.45)

    balance = novita.read("/openapi/v1/billing/balance/detail").json()
    assert (balance["availableBalance"], balance["creditLimit"]) == ("1234500", "0")
    assert novita.read("/v3/user").json()["credit_balance"] == 1_234_500


def test_hourly_bills_name_their_instance(start: Start) -> None:
    novita = start(fleet="demo", speed=1.0)
    key = next(r["id"] for r in novita.look("state")["instances"] if r["name"] == "old-experiment")

    query = {"cycleType": "Day", "productCategory": "gpu", "ownerId": key}
    bills = novita.read("/openapi/v1/billing/bill/list", **query).json()["bills"]

    assert {bill["ownerID"] for bill in bills} == {key}
    assert sum(int(bill["amount"]) for bill in bills) / 10_000 == pytest.approx(72 * 1.60, rel=0.01)
    wrong = novita.read("/openapi/v1/billing/bill/list", cycleType="Year", productCategory="gpu")
    assert_refused(wrong, "INVALID_BILL_CYCLE")


def metrics(novita: Driver, key: str, **query: Any) -> Any:
    return novita.read(METRICS, instanceId=key, **query).json()


def busy_fleet(start: Start) -> tuple[Driver, str]:
    novita = start(fleet="demo", speed=1.0)
    rows = novita.look("state")["instances"]
    return novita, next(row["id"] for row in rows if row["name"] == "llama-3-70b-api")


def test_metrics_follow_the_load_a_minute_late_in_steps_of_15_seconds(start: Start) -> None:
    novita, key = busy_fleet(start)
    now = int(time())
    found = metrics(novita, key, startTime=now - 600, endTime=now)

    points = found["gpuUtilization"]["avg"]
    stamps = [int(point["timestamp"]) for point in points]
    assert all(abs(point["value"] - 91) < 3 for point in points)
    assert {after - before for before, after in pairwise(stamps)} == {15}
    assert now - 76 <= stamps[-1] <= time() - 59
    assert [gpu["gpuId"] for gpu in found["gpuUtilization"]["gpuIds"]] == ["0", "1"]
    assert found["cpuUtilization"][-1]["value"] > 800
    assert found == metrics(novita, key, startTime=now - 600, endTime=now)


def test_times_that_make_no_sense_fall_back_to_the_newest_point(start: Start) -> None:
    novita, key = busy_fleet(start)

    for query in ({}, {"startTime": "soon"}, {"startTime": int(time()) + 99}, {"interval": "5m"}):
        assert len(metrics(novita, key, **query)["gpuUtilization"]["avg"]) == 1


def test_load_can_differ_per_gpu_and_be_missing_or_stale(start: Start) -> None:
    novita = start(speed=60.0)
    key = novita.running(gpuNum=2)
    novita.turn("load", instance=key, gpu_percent={"0": 80, "1": 0}, cpu_cores=2)

    def averages() -> list[float]:
        now = int(time())
        return [p["value"] for p in metrics(novita, key, startTime=now - 60)["gpuUtilization"]["avg"]]

    until(lambda: averages() and 39 < averages()[-1] < 41)
    novita.turn("load", instance=key, metrics="missing")
    assert averages() == []
    novita.turn("load", instance=key, metrics="ok", gpu_percent=10)
    until(lambda: averages() and 9 < averages()[-1] < 11)


def test_the_default_load_reaches_those_to_come(novita: Driver) -> None:
    novita.turn("load", instance="*", gpu_percent=70)
    key = novita.create()

    assert novita.look("load")["instances"][key]["gpu_percent"] == 70


def test_stopped_instances_have_empty_series(novita: Driver) -> None:
    key = novita.running()
    novita.command("stop", key)
    novita.wait(key, "exited")
    started = int(novita.get(key)["lastStoppedAt"])

    assert metrics(novita, key, startTime=started - 3600, endTime=started - 1800)["cpuUtilization"] == []
    assert_refused(novita.read(METRICS, instanceId="none"), "RESOURCE_NOT_FOUND")
    assert novita.read(f"{GPU}/metrics/gpu/instance", instanceId=key).status_code == 404
