"""What one key may have running: how many instances, and for how many USD per hour."""

from decimal import Decimal
from typing import Any

import pytest

from instances.models import Instance, Job
from tests.factories import NOW, make_instance, make_job, make_machine, make_offer
from tests.instances.api.calls import NEW, Caller

pytestmark = pytest.mark.django_db


def create(caller: Caller, name: str, **changes: Any) -> Any:
    return caller.post("/instances", NEW | {"name": name} | changes)


def test_a_key_has_no_more_instances_than_it_may() -> None:
    make_offer()
    caller = Caller(name="ci", max_instances=2)

    answers = [create(caller, name) for name in ("one", "two", "three")]

    assert [one.status_code for one in answers] == [202, 202, 409]
    assert answers[2].json()["code"] == "key_limit"
    assert Instance.objects.count() == 2
    assert create(Caller(name="other"), "three").status_code == 202


def test_an_ended_instance_counts_no_more() -> None:
    make_offer()
    caller = Caller(name="ci", max_instances=1)
    create(caller, "one")
    Instance.objects.update(ended_at=NOW, phase="failed")

    assert create(caller, "two").status_code == 202


def test_a_key_and_its_successor_share_what_they_may_have() -> None:
    make_offer()
    create(Caller(name="ci", max_instances=1), "one")

    assert create(Caller(name="ci", max_instances=1), "two").status_code == 409


def test_a_key_spends_no_more_per_hour_than_it_may_whatever_offer_is_taken_later() -> None:
    make_offer(region="CN-HK-01", spot="0.35")
    make_offer(region="US-CA-01", spot="0.50")
    make_offer(region="EU-DE-01", spot="0.90")
    caller = Caller(name="ci", max_usd_per_hour=Decimal("1.00"))

    first, second, third = (create(caller, name, region="any") for name in ("one", "two", "three"))

    assert [one.status_code for one in (first, second, third)] == [202, 409, 409]
    caps = list(Instance.objects.values_list("max_price_usd_per_hour", flat=True))
    assert caps == [Decimal("0.9")]
    assert "$0.1" in second.json()["detail"]


def test_a_smaller_cap_of_the_request_leaves_more_for_the_next() -> None:
    make_offer(spot="0.35")
    caller = Caller(name="ci", max_usd_per_hour=Decimal("1.00"))

    answers = [create(caller, name, max_price_usd_per_hour="0.40") for name in ("one", "two", "three")]

    assert [one.status_code for one in answers] == [202, 202, 409]


def test_the_price_that_is_billed_counts_once_it_is_known() -> None:
    make_offer(spot="0.35")
    caller = Caller(name="ci", max_usd_per_hour=Decimal("0.80"))
    create(caller, "one", max_price_usd_per_hour="0.70")
    make_machine(Instance.objects.get(name="one"), price_usd_per_hour=Decimal("0.30"))

    assert create(caller, "two").status_code == 202


def test_a_start_is_admitted_like_a_create() -> None:
    expensive = make_instance(name="big", status="exited", machine={"price_usd_per_hour": Decimal("8")})
    make_instance(name="small", status="exited", machine={"price_usd_per_hour": Decimal("0.20")})
    caller = Caller(name="ci", max_usd_per_hour=Decimal("1"))

    big, small = caller.post("/instances/big/start"), caller.post("/instances/small/start")
    bulk = caller.post("/instances/bulk", {"action": "start", "refs": ["big", "small"]})

    assert (big.status_code, big.json()["code"], small.status_code) == (409, "key_limit", 202)
    assert [one["code"] for one in bulk.json()["results"]] == ["key_limit", "unchanged"]
    assert not expensive.jobs.exists()


def test_a_failed_create_is_not_tried_again_beyond_the_limit() -> None:
    make_offer(spot="0.35")
    caller = Caller(name="ci", max_instances=1)
    failed = make_instance(name="failed", status="", given_up=True)
    Instance.objects.filter(pk=failed.pk).update(wanted="")
    job = make_job(failed, verb="create", state="failed", requested_by_kind="user")
    Instance.objects.filter(pk=failed.pk).update(wanted="", given_up=True, ended_at=NOW)
    create(caller, "one")

    answer = caller.post(f"/jobs/{job.pk}/retry")

    assert (answer.status_code, answer.json()["code"]) == (409, "key_limit")


def test_a_spending_limit_waits_for_prices() -> None:
    caller = Caller(name="ci", max_usd_per_hour=Decimal("1"))

    answer = create(caller, "one")

    assert (answer.status_code, answer.json()["code"]) == (503, "catalogue_not_loaded")
    assert answer["Retry-After"]
    assert not Job.objects.exists()


def test_people_and_other_actors_of_the_same_name_do_not_count() -> None:
    make_offer()
    make_job(make_instance(name="hers", status=""), verb="create", requested_by_kind="user", requested_by_name="ci")

    assert create(Caller(name="ci", max_instances=1), "one").status_code == 202


@pytest.mark.parametrize("cap", ["50", "1.01", None])
def test_a_key_does_not_lift_its_own_bound_by_a_change_of_the_cap(cap: str | None) -> None:
    make_offer(spot="0.35", inventory="none")
    caller = Caller(name="ci", max_usd_per_hour=Decimal("1.00"))
    assert create(caller, "waits", wait_for_capacity="1h").status_code == 202

    answer = caller.patch("/instances/waits", {"max_price_usd_per_hour": cap, "owner": "maya"})

    body = answer.json()
    assert (answer.status_code, body["code"]) == (409, "key_limit")
    assert [(one["field"], one["code"]) for one in body["errors"]] == [("max_price_usd_per_hour", "key_limit")]
    assert "name a price of at most $1" in body["detail"]
    instance = Instance.objects.get(name="waits")
    assert (instance.max_price_usd_per_hour, instance.owner == "maya") == (Decimal("1.00"), False)


def test_a_cap_is_raised_as_far_as_what_else_runs_leaves_room() -> None:
    make_offer(spot="0.35")
    caller = Caller(name="ci", max_usd_per_hour=Decimal("1.00"))
    for name in ("one", "two"):
        create(caller, name, max_price_usd_per_hour="0.40")

    raised = [caller.patch("/instances/one", {"max_price_usd_per_hour": cap}).status_code for cap in ("0.65", "0.66")]

    assert raised == [200, 409]
    assert Instance.objects.get(name="one").max_price_usd_per_hour == Decimal("0.65")


def test_a_cap_is_lowered_whatever_is_left_and_changed_by_whoever_has_no_bound() -> None:
    make_instance(name="box", max_price_usd_per_hour=Decimal("5"))

    lower = Caller(name="ci", max_usd_per_hour=Decimal("1")).patch("/instances/box", {"max_price_usd_per_hour": "4"})
    lift = Caller(name="free").patch("/instances/box", {"max_price_usd_per_hour": None})

    assert (lower.status_code, lift.status_code) == (200, 200)
