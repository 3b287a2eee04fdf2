"""GET /instances and /instances/{ref}."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.api.shapes import EventShape, InstanceShape, JobShape
from instances.models import Instance
from tests.factories import NOW, make_account, make_instance, make_job, make_machine
from tests.instances.api.calls import Caller

pytestmark = pytest.mark.django_db


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer.json()["results"]]


def test_an_instance_is_shown_with_the_names_of_the_contract() -> None:
    make_account()
    instance = make_instance(name="shown", labels={"team": "vision"}, owner="bob")
    make_job(instance, verb="stop")

    shown = Caller().get("/instances/shown").json()

    assert set(shown) == set(InstanceShape().fields)
    assert set(shown["open_job"]) == set(JobShape().fields)
    assert shown["phase"] == "requested"
    assert shown["novita_id"] == instance.machine.novita_id if instance.machine else None
    assert shown["price_usd_per_hour"] == "0.35"
    assert shown["created_at"] == "2026-11-24T12:00:00Z"
    assert shown["endpoints"] == [{"port": 8080, "type": "http", "url": "http://127.0.0.1:8080"}]
    assert shown["next_action"]["what"] == "stop"
    assert set(shown["next_action"]) == {"what", "at", "why"}
    assert set(shown["health"]) == {"state", "checked_at", "detail"}


def test_an_instance_that_was_never_seen_shows_what_was_asked_for() -> None:
    make_instance(status="", name="new", regions=["EU-01"], billing_mode="on_demand")

    shown = Caller().get("/instances/new").json()

    assert (shown["region"], shown["billing_mode"], shown["novita_id"], shown["observed_at"]) == (
        "EU-01",
        "on_demand",
        None,
        None,
    )
    assert shown["cost_usd_so_far"] == "0.000000"


def test_a_complete_list_vouches_for_what_it_left_unchanged() -> None:
    make_account(complete_list_at=NOW + timedelta(minutes=1))
    make_instance(name="seen")

    assert Caller().get("/instances/seen").json()["observed_at"] == "2026-11-24T12:01:00Z"


def test_cost_sums_over_all_machines() -> None:
    instance = make_instance(name="moved", machine={"metered_usd": Decimal("1.25")})
    make_machine(instance, metered_usd=Decimal("0.5"))

    assert Caller().get("/instances/moved").json()["cost_usd_so_far"] == "1.750000"


def test_a_list_costs_the_same_queries_whatever_it_holds() -> None:
    caller = Caller()
    caller.get("/instances")
    make_account()
    for number in range(12):
        make_job(make_instance(name=f"n{number}"))

    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = caller.get("/instances")

    assert answer.json()["count"] == 12
    assert len(queries) <= 5, [one["sql"] for one in queries]


def test_lists_leave_ended_ones_out_unless_they_are_asked_for() -> None:
    caller = Caller()
    make_instance(name="alive")
    make_instance(name="failed", status="", given_up=True, met_at=NOW)
    for name, wanted in (("deleted", "deleted"), ("gone", "running")):
        make_instance(name=name, wanted=wanted, machine={"absent_at": NOW})

    assert sorted(names(caller.get("/instances"))) == ["alive", "failed"]
    assert names(caller.get("/instances?phase=gone")) == ["gone"]
    assert sorted(names(caller.get("/instances?phase=gone,deleted"))) == ["deleted", "gone"]
    assert caller.get("/instances?include_ended=true").json()["count"] == 4


def test_a_search_finds_labels_in_any_letters() -> None:
    make_instance(name="apple", labels={"équipe": 'grün "A"'})
    make_instance(name="berry")
    for text in ("équipe", "grün", 'n "A"'):
        assert names(Caller().get(f"/instances?search={quote(text)}")) == ["apple"]


def test_filters_search_and_ordering() -> None:
    caller = Caller()
    make_instance(name="apple", owner="bob", labels={"team": "vision", "a__b": "x"}, machine={"region": "EU-01"})
    make_instance(name="berry", owner="eve", labels={"team": "speech"}, protected=True)
    make_instance(name="cherry", managed=False, status="exited", machine={"billing_mode": "on_demand"})

    assert names(caller.get("/instances?owner=bob")) == ["apple"]
    assert names(caller.get("/instances?region=eu-01")) == ["apple"]
    assert names(caller.get("/instances?label=team:speech")) == ["berry"]
    assert names(caller.get("/instances?label=a__b:x")) == ["apple"]
    assert names(caller.get("/instances?managed=false")) == ["cherry"]
    assert names(caller.get("/instances?protected=true")) == ["berry"]
    assert names(caller.get("/instances?phase=stopped")) == ["cherry"]
    assert names(caller.get("/instances?billing_mode=on_demand")) == ["cherry"]
    assert names(caller.get("/instances?search=ERR&ordering=-name")) == ["cherry", "berry"]
    assert names(caller.get("/instances?search=VISION")) == ["apple"]
    assert names(caller.get("/instances?ordering=name")) == ["apple", "berry", "cherry"]
    assert len(names(caller.get("/instances?product_name=rtx 4090 24gb"))) == 3


def test_pages_have_a_count_and_links() -> None:
    caller = Caller()
    for number in range(3):
        make_instance(name=f"n{number}")

    first = caller.get("/instances?limit=2&ordering=name").json()

    assert (first["count"], first["previous"], len(first["results"])) == (3, None, 2)
    second = caller.client.get(first["next"]).json()
    assert [one["name"] for one in second["results"]] == ["n2"]
    assert second["next"] is None
    assert caller.get("/instances?limit=100000").status_code == 200


def test_a_reference_is_our_id_novitas_id_or_a_name_in_any_case() -> None:
    caller = Caller()
    instance = make_instance(name="Trainer.v1")
    assert instance.machine is not None

    for ref in (str(instance.pk), str(instance.pk).upper(), instance.machine.novita_id, "trainer.V1", "Trainer.v1/"):
        answer = caller.get(f"/instances/{ref}")
        assert answer.status_code == 200, ref
        assert answer.json()["id"] == str(instance.pk)


def test_the_name_of_an_unmanaged_instance_is_no_reference() -> None:
    make_instance(name="theirs", managed=False)

    assert Caller().get("/instances/theirs").status_code == 404


def test_a_name_means_the_living_one() -> None:
    make_instance(name="again", wanted="deleted", machine={"absent_at": NOW})
    living = make_instance(name="again")

    assert Caller().get("/instances/again").json()["id"] == str(living.pk)


def test_a_reference_that_fits_several_answers_their_ids() -> None:
    gone = [make_instance(name="twice", wanted="deleted", machine={"absent_at": NOW}) for _ in range(2)]

    answer = Caller().get("/instances/twice")

    assert (answer.status_code, answer.json()["code"]) == (409, "ambiguous_ref")
    assert set(answer.json()["ids"]) == {str(one.pk) for one in gone}


def test_explain_joins_what_the_rooms_say() -> None:
    make_account(frozen_since=NOW, frozen_reason="a new key")
    instance = make_instance(name="why", protected=True)
    make_job(instance, verb="stop", error_code="unavailable", error_detail="Novita is away")

    answer = Caller().get("/instances/why/explain")

    assert answer.status_code == 200
    found = answer.json()
    assert found["phase"] == "requested"
    assert found["wish"]["wanted"] == "stopped"
    assert {one["code"] for one in found["held_by"]} == {"protected", "frozen", "unavailable"}
    assert found["next_actions"]["job"]["what"] == "stop"


def test_explain_says_what_waiting_for_running_costs() -> None:
    instance = make_instance(name="early", status="pulling")
    Instance.objects.filter(pk=instance.pk).update(wanted="stopped", met_at=None)

    held = Caller().get("/instances/early/explain").json()["held_by"]

    assert [one["code"] for one in held] == ["starting_first"]
    assert "$0.35 per hour" in held[0]["detail"]


def test_the_timeline_of_an_instance_holds_its_own_events_newest_first() -> None:
    caller = Caller()
    instance = make_instance(name="told", status="exited")
    make_instance(name="other")
    caller.post("/instances/told/start")

    page = caller.get("/instances/told/events").json()

    assert set(page) == {"next", "previous", "results"}
    assert all(set(one) == set(EventShape().fields) for one in page["results"])
    assert {one["instance_id"] for one in page["results"]} == {str(instance.pk)}
    ids = [one["id"] for one in page["results"]]
    assert ids == sorted(ids, reverse=True)
    assert len(caller.get("/instances/told/events?type=job.start_requested").json()["results"]) == 1
