"""POST /instances/stop-all and /instances/bulk."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.models import Event, Instance, Job
from tests.factories import NOW, make_instance
from tests.instances.api.calls import Caller, fields
from tests.meanwhile import when_the_first_job_is_written

pytestmark = pytest.mark.django_db


def codes(answer: Any) -> dict[str, str]:
    return {one["name"] or one["ref"]: one["code"] for one in answer.json()["results"]}


def make_fleet() -> None:
    make_instance(name="busy")
    make_instance(name="starting", status="pulling")
    make_instance(name="stopped", status="exited")
    make_instance(name="safe", protected=True)
    make_instance(name="theirs", managed=False)
    make_instance(name="gone", machine={"absent_at": NOW})


def test_stop_all_stops_what_runs_and_skips_the_protected() -> None:
    make_fleet()

    answer = Caller().post("/instances/stop-all", {"reason": "the weekend"})

    assert answer.status_code == 202
    assert codes(answer) == {"busy": "accepted", "starting": "accepted", "safe": "protected"}
    assert sorted(Job.objects.values_list("instance__name", "verb")) == [("busy", "stop"), ("starting", "stop")]
    assert codes(Caller(name="again").post("/instances/stop-all")) == {
        "busy": "unchanged",
        "starting": "unchanged",
        "safe": "protected",
    }


def test_a_dry_run_tells_the_same_and_changes_nothing() -> None:
    make_fleet()
    before = Event.objects.count()

    answer = Caller().post("/instances/stop-all", {"dry_run": True})

    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert codes(answer) == {"busy": "accepted", "starting": "accepted", "safe": "protected"}
    assert not Job.objects.exists()
    assert Event.objects.count() == before


def test_bulk_answers_for_each_reference() -> None:
    make_fleet()

    answer = Caller().post("/instances/bulk", {"action": "start", "refs": ["busy", "stopped", "nobody", "gone", "stopped"]})

    assert answer.status_code == 202
    assert codes(answer) == {"busy": "unchanged", "stopped": "accepted", "nobody": "not_found", "gone": "wrong_phase"}
    accepted = next(one for one in answer.json()["results"] if one["ok"] and one["code"] == "accepted")
    assert accepted["job_id"] == str(Job.objects.get().pk)


def test_bulk_takes_a_filter() -> None:
    make_instance(name="a", labels={"team": "vision"}, owner="bob")
    make_instance(name="b", labels={"team": "vision", "tier": "1"}, owner="bob")
    make_instance(name="c", labels={"team": "speech"})
    caller = Caller()
    body = {"action": "delete", "filter": {"labels": {"team": "vision", "tier": "1"}}, "dry_run": True}

    assert codes(caller.post("/instances/bulk", body)) == {"b": "accepted"}
    assert codes(caller.post("/instances/bulk", body | {"filter": {"owner": "bob"}})) == {"a": "accepted", "b": "accepted"}
    assert codes(caller.post("/instances/bulk", body | {"filter": {"phase": ["stopped"]}})) == {}


def make_two(status: str) -> None:
    """In the order in which many are acted on."""
    make_instance(name="first", status=status)
    make_instance(name="second", status=status, created_at=NOW + timedelta(seconds=1))


WAYS = pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "once"}], ids=["row by row", "all in one"])


@WAYS
def test_what_no_longer_fits_the_filter_when_its_turn_comes_is_not_deleted(headers: dict[str, str]) -> None:
    make_two("exited")
    body = {"action": "delete", "filter": {"phase": ["stopped"]}, "reason": "cleanup"}
    other = Caller(name="other")

    with when_the_first_job_is_written(lambda: other.post("/instances/second/start", {"reason": "I need it now"})):
        answer = Caller().post("/instances/bulk", body, **headers)

    assert codes(answer) == {"first": "accepted", "second": "changed_meanwhile"}
    changed = next(one for one in answer.json()["results"] if one["name"] == "second")
    assert (changed["ok"], changed["job_id"]) == (False, None)
    assert "fits the choice no longer" in changed["detail"]
    assert Instance.objects.get(name="second").wanted == "running"
    assert sorted(Job.objects.values_list("instance__name", "verb")) == [("first", "delete"), ("second", "start")]


@WAYS
def test_what_is_protected_when_its_turn_comes_is_not_stopped_with_all(headers: dict[str, str]) -> None:
    make_two("running")
    other = Caller(name="other")

    with when_the_first_job_is_written(lambda: other.patch("/instances/second", {"protected": True})):
        answer = Caller().post("/instances/stop-all", **headers)

    assert codes(answer) == {"first": "accepted", "second": "protected"}
    assert list(Job.objects.values_list("instance__name", flat=True)) == ["first"]


def test_what_is_no_longer_protected_when_its_turn_comes_is_stopped_with_all() -> None:
    make_two("running")
    Instance.objects.filter(name="second").update(protected=True)
    other = Caller(name="other")

    with when_the_first_job_is_written(lambda: other.patch("/instances/second", {"protected": False})):
        answer = Caller().post("/instances/stop-all")

    assert codes(answer) == {"first": "accepted", "second": "accepted"}


def test_what_another_asked_for_meanwhile_is_told_as_unchanged() -> None:
    make_two("running")
    other = Caller(name="other")

    with when_the_first_job_is_written(lambda: other.post("/instances/second/stop")):
        answer = Caller().post("/instances/stop-all")

    assert codes(answer) == {"first": "accepted", "second": "unchanged"}


def test_to_judge_one_of_many_again_costs_one_query() -> None:
    caller, body = Caller(), {"action": "delete", "filter": {"owner": "bob"}}
    for number in range(12):
        make_instance(name=f"by-filter-{number}", owner="bob")
        make_instance(name=f"by-name-{number}")
    with CaptureQueriesContext(connection) as by_name:
        caller.post("/instances/bulk", {"action": "delete", "refs": [f"by-name-{number}" for number in range(12)]})
    with CaptureQueriesContext(connection) as by_filter:
        caller.post("/instances/bulk", body)
    assert len(by_filter) <= len(by_name) + 1  # where a name is looked up, a choice is judged again


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"action": "required"}),
        ({"action": "stop"}, {"refs": "exclusive"}),
        ({"action": "stop", "refs": ["a"], "filter": {}}, {"refs": "exclusive"}),
        ({"action": "explode", "refs": ["a"]}, {"action": "invalid_choice"}),
        ({"action": "stop", "refs": []}, {"refs": "min_length"}),
        ({"action": "stop", "refs": [f"r{n}" for n in range(501)]}, {"refs": "max_length"}),
        ({"action": "stop", "refs": [1]}, {"refs.0": "not_text"}),
        ({"action": "stop", "filter": {"color": "red"}}, {"filter.color": "unknown_field"}),
        ({"action": "stop", "filter": {"phase": ["asleep"]}}, {"filter.phase.0": "invalid_choice"}),
        ({"action": "stop", "refs": ["a"], "dry_run": "yes"}, {"dry_run": "not_a_flag"}),
    ],
)
def test_a_bad_bulk_is_named(body: dict[str, Any], errors: dict[str, str]) -> None:
    answer = Caller().post("/instances/bulk", body)

    assert (answer.status_code, fields(answer)) == (400, errors)


def test_deleting_in_bulk_needs_the_scope_that_deleting_needs() -> None:
    make_instance(name="a")

    answer = Caller("operate").post("/instances/bulk", {"action": "delete", "refs": ["a"]})

    assert answer.status_code == 403
    assert not Job.objects.exists()
