"""POST /instances/stop-all and /instances/bulk."""

from typing import Any

import pytest

from instances.models import Event, Job
from tests.factories import NOW, make_instance
from tests.instances.api.calls import Caller, fields

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
