"""/jobs and /events."""

import base64

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.api.shapes import EventShape, JobShape
from instances.events import record
from instances.models import Instance, Job
from tests.factories import NOW, PERSON, make_instance, make_job
from tests.instances.api.calls import Caller, fields

pytestmark = pytest.mark.django_db


def test_jobs_page_by_cursor_from_the_newest_on() -> None:
    caller = Caller()
    instance = make_instance()
    made = [make_job(instance, verb="restart", state="succeeded") for _ in range(5)]

    first = caller.get("/jobs?limit=3").json()
    second = caller.client.get(first["next"]).json()

    assert set(first) == {"next", "previous", "results"}
    assert set(first["results"][0]) == set(JobShape().fields)
    seen = [one["id"] for one in first["results"] + second["results"]]
    assert set(seen) == {str(one.pk) for one in made}
    assert len(seen) == 5
    assert second["next"] is None


def test_jobs_filter_by_state_verb_and_instance() -> None:
    caller = Caller()
    one, other = make_instance(), make_instance()
    make_job(one, verb="stop")
    make_job(other, verb="restart", state="failed", error_code="no_capacity", error_detail="none free")

    assert [job["verb"] for job in caller.get("/jobs?state=queued,claimed").json()["results"]] == ["stop"]
    assert [job["verb"] for job in caller.get(f"/jobs?instance_id={other.pk}").json()["results"]] == ["restart"]
    failed = caller.get("/jobs?verb=restart").json()["results"][0]
    assert failed["error"] == {"code": "no_capacity", "detail": "none free"}
    assert failed["next_attempt_at"] is None


def test_a_job_is_cancelled_until_it_was_sent() -> None:
    caller = Caller()
    waiting = make_job(make_instance(), verb="stop")
    sent = make_job(make_instance(), verb="stop", state="sent", called_at=NOW)

    cancelled = caller.post(f"/jobs/{waiting.pk}/cancel", {"reason": "changed my mind"})
    refused = caller.post(f"/jobs/{sent.pk}/cancel")

    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_sent")


def test_a_failed_job_is_tried_again_as_a_new_one() -> None:
    caller = Caller()
    failed = make_job(make_instance(status="exited"), verb="start", state="failed")

    again = caller.post(f"/jobs/{failed.pk}/retry")

    assert (again.status_code, again.json()["state"]) == (202, "queued")
    assert again.json()["id"] != str(failed.pk)
    assert caller.post(f"/jobs/{failed.pk}/retry").json()["code"] == "job_open"


def test_bringing_a_create_back_needs_the_scope_that_creating_needs() -> None:
    instance = make_instance(status="", given_up=True)
    failed = make_job(instance, verb="create", state="failed")
    Instance.objects.filter(pk=instance.pk).update(wanted="", wanted_at=None)

    assert Caller("operate").post(f"/jobs/{failed.pk}/retry").status_code == 403
    assert Job.objects.count() == 1
    assert Caller("create", name="more").post(f"/jobs/{failed.pk}/retry").status_code == 202


def test_events_filter_by_type_instance_and_time() -> None:
    caller = Caller()
    instance = make_instance()
    record("instance.noted", at=NOW, actor=PERSON, instance=instance, before={"a": 1}, after={"a": 2}, request_id="req-1")

    found = caller.get(f"/events?type=instance.noted&instance_id={instance.pk}").json()

    assert set(found) == {"next", "previous", "results"}
    (event,) = found["results"]
    assert set(event) == set(EventShape().fields)
    assert (event["actor"], event["request_id"]) == ({"kind": "user", "name": "alice"}, "req-1")
    assert (event["before"], event["after"]) == ({"a": 1}, {"a": 2})
    assert caller.get(f"/events/{event['id']}").json() == event
    assert caller.get("/events?request_id=req-1").json()["results"] == [event]
    assert caller.get("/events?type=instance.noted&since=2026-11-25T00:00:00Z").json()["results"] == []
    assert caller.get("/events?type=instance.noted&until=2026-11-25T00:00:00Z").json()["results"] == [event]


def test_an_event_carries_the_request_id_of_the_call_that_made_it() -> None:
    make_instance(name="one")
    caller = Caller()

    answer = caller.post("/instances/one/stop", HTTP_X_REQUEST_ID="from-the-client.7")

    assert answer["X-Request-ID"] == "from-the-client.7"
    assert caller.get("/events?request_id=from-the-client.7").json()["results"]


def test_pages_of_events_cost_the_same_queries_whatever_they_hold() -> None:
    caller = Caller()
    caller.get("/events")
    instance = make_instance()
    for _ in range(30):
        record("instance.noted", at=NOW, actor=PERSON, instance=instance)

    with CaptureQueriesContext(connection) as queries:
        assert len(caller.get("/events").json()["results"]) >= 30
    assert len(queries) <= 3


@pytest.mark.parametrize("position", ["p=x", "p=2026-99-99", "p=%00", "o=1&p=NaN", "r=1&p=-"])
@pytest.mark.parametrize("path", ["/jobs", "/events", "/sync/runs", "/auto-stop/decisions"])
def test_a_cursor_that_was_made_up_is_named(path: str, position: str) -> None:
    cursor = base64.b64encode(position.encode()).decode()

    answer = Caller().get(path, query_params={"cursor": cursor})

    assert (answer.status_code, fields(answer)) == (400, {"cursor": "invalid"})
