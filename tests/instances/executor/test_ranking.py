"""What a create is placed by: offers, prices and wishes of when it is sent, not of when it was first ranked."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from instances.executor import create
from instances.models import Instance, Job
from instances.operations import change_settings
from tests.driving import Drive, event_types
from tests.factories import PERSON

LOW = Decimal("0.01")


def rate_limited(seconds: float) -> dict[str, Any]:
    return {"call": "create", "kind": "429", "count": 1, "retry_after": seconds}


def change(drive: Drive, instance: Instance, **settings: Any) -> None:
    change_settings(instance.pk, settings, actor=PERSON, reason="a test", now=drive.now)


def asked(drive: Drive) -> list[tuple[str, str]]:
    """Cluster and billing of every create Novita was asked for."""
    return [(one["body"]["clusterId"], one["body"]["billingMode"]) for one in drive.calls("create")]


def fitting(job: Job) -> list[dict[str, Any]]:
    return list((job.placement or {}).get("candidates", ()))


def refused(job: Job, code: str) -> list[dict[str, Any]]:
    return [one for one in (job.placement or {}).get("refused", ()) if one["code"] == code]


def waits_after(drive: Drive, instance: Instance, calls: int) -> Job:
    """Its job once Novita was asked so often and it waits."""
    drive.until(lambda: drive.count("create") == calls and drive.job(instance).state == "queued", step=1)
    return drive.job(instance)


def test_a_cap_that_is_lowered_while_a_create_waits_holds(drive: Drive) -> None:
    drive.faults(rate_limited(40))
    instance = drive.create(max_price_usd_per_hour=Decimal(5))
    assert fitting(waits_after(drive, instance, 1))

    change(drive, instance, max_price_usd_per_hour=LOW)
    drive.until_phase(instance, "failed")

    job = drive.job(instance)
    assert (drive.machines(), drive.count("create")) == ([], 1)
    assert (job.state, job.error_code) == ("failed", "no_capacity")
    assert "above the cap of $0.01" in job.error_detail
    assert (fitting(job), len(refused(job, "over_price_cap")) > 0) == ([], True)


def test_a_cap_that_is_lowered_between_the_ranking_and_the_intent_holds(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = drive.create(max_price_usd_per_hour=Decimal(5))
    at_once(monkeypatch, lambda: change(drive, instance, max_price_usd_per_hour=LOW))

    drive.until_phase(instance, "failed")

    assert (drive.machines(), drive.count("create"), drive.job(instance).attempts) == ([], 0, 0)
    assert "job.create_sent" not in event_types(instance)


def test_a_change_that_still_admits_the_offer_does_not_hold_it_up(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = drive.create(max_price_usd_per_hour=Decimal(5))
    at_once(monkeypatch, lambda: change(drive, instance, max_price_usd_per_hour=Decimal(4)))

    drive.until_phase(instance, "ready")

    assert drive.job(instance).attempts == 1


def at_once(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Once an offer is chosen, and before the intent is written."""
    done: list[bool] = []

    def arrive(place: str) -> None:
        if place == "create.before_intent" and not done:
            done.append(True)
            act()

    monkeypatch.setattr(create, "reach", arrive)


def test_a_fallback_that_is_withdrawn_while_a_create_waits_is_not_taken(drive: Drive) -> None:
    drive.faults(rate_limited(5))
    instance = drive.create(fallback_to_on_demand=True)
    spot = sum(one["billing_mode"] == "spot" for one in fitting(waits_after(drive, instance, 1)))
    drive.faults({"call": "create", "kind": "no_capacity", "count": spot}, rate_limited(40))
    job = waits_after(drive, instance, 2 + spot)
    assert asked(drive)[-1][1] == "onDemand"

    change(drive, instance, fallback_to_on_demand=False)
    drive.until_phase(instance, "failed")

    job = drive.job(instance)
    assert (drive.machines(), drive.count("create")) == ([], 2 + spot)
    assert len(refused(job, "no_capacity")) == spot


def test_a_create_that_waited_is_made_at_the_price_of_now(drive: Drive) -> None:
    drive.faults(rate_limited(40))
    instance = drive.create()
    job = waits_after(drive, instance, 1)
    price = fitting(job)[0]["price_usd_per_hour"]
    stale = {**(job.placement or {}), "candidates": [{**one, "price_usd_per_hour": "0.001"} for one in fitting(job)]}
    Job.objects.filter(pk=job.pk).update(placement=stale)

    drive.until(lambda: drive.machines())

    instance.refresh_from_db()
    sent = instance.events.filter(type="job.create_sent").latest("id")
    assert sent.after["price_usd_per_hour"] == price
    assert fitting(drive.job(instance))[0]["price_usd_per_hour"] == price


def test_what_novita_refused_is_not_asked_again_by_a_new_ranking_and_stays_told(drive: Drive) -> None:
    drive.faults({"call": "create", "kind": "no_capacity", "count": 1}, rate_limited(40))
    instance = drive.create()
    waits_after(drive, instance, 2)

    change(drive, instance, max_price_usd_per_hour=Decimal(5))
    drive.until_phase(instance, "ready")

    first, second, third = asked(drive)
    assert first != second
    assert second == third
    job = drive.job(instance)
    [told] = refused(job, "no_capacity")
    assert told["cluster_id"] == first[0]
    assert told["reason"]
    assert told["product_id"] not in {one["product_id"] for one in fitting(job) if one["cluster_id"] == first[0]}
    assert fitting(job)[0]["rank"] == 2


def test_what_novita_refused_long_ago_is_asked_for_again(drive: Drive) -> None:
    drive.faults({"call": "create", "kind": "no_capacity", "count": 1}, rate_limited(timedelta(minutes=10).total_seconds()))
    instance = drive.create()

    drive.until_phase(instance, "ready", seconds=900, step=5)

    first, second, third = asked(drive)
    assert first == third != second
    assert refused(drive.job(instance), "no_capacity") == []
