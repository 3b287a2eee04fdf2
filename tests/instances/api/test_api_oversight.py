"""/alarms and /automation."""

from datetime import UTC, datetime, timedelta

import pytest

from instances.alarms import clear_alarm, raise_alarm
from instances.api.times import rfc3339
from instances.models import Alarm, Event
from tests.factories import NOW
from tests.instances.api.calls import Caller, fields

pytestmark = pytest.mark.django_db


def make_alarm(kind: str = "balance") -> Alarm:
    raise_alarm(kind, "", text="the balance is low", remedy="top it up", now=NOW)
    return Alarm.objects.get(kind=kind)


def test_alarms_filter_by_whether_they_are_open() -> None:
    caller = Caller()
    make_alarm()
    make_alarm("frozen")
    clear_alarm("frozen", "", now=NOW)

    assert [one["kind"] for one in caller.get("/alarms?open=true").json()["results"]] == ["balance"]
    assert [one["kind"] for one in caller.get("/alarms?open=false").json()["results"]] == ["frozen"]


def test_an_alarm_is_acknowledged_with_a_reason() -> None:
    caller = Caller()
    alarm = make_alarm()

    answer = caller.post(
        f"/alarms/{alarm.pk}/acknowledge", {"reason": "card is on its way", "until": "2099-01-01T00:00:00Z"}
    )

    assert answer.status_code == 200, answer.content
    assert answer.json()["acknowledged"] == {
        "by": "tests",
        "reason": "card is on its way",
        "until": "2099-01-01T00:00:00Z",
    }
    assert Event.objects.filter(type="alarm.acknowledged", actor_kind="key").count() == 1
    assert fields(caller.post(f"/alarms/{alarm.pk}/acknowledge", {})) == {"reason": "required"}
    clear_alarm("balance", "", now=NOW)
    assert caller.post(f"/alarms/{alarm.pk}/acknowledge", {"reason": "late"}).status_code == 409


def test_automation_pauses_until_a_time_and_resumes() -> None:
    caller = Caller()
    until = rfc3339((datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0))

    assert caller.get("/automation").json() == {"paused_until": None, "reason": ""}
    paused = caller.put("/automation", {"paused_until": until, "reason": "a demo"})
    assert (paused.status_code, paused.json()) == (200, {"paused_until": until, "reason": "a demo"})
    assert caller.get("/automation").json() == paused.json()
    assert caller.delete("/automation").json() == {"paused_until": None, "reason": ""}
    caller.put("/automation", {"paused_until": until})
    assert caller.put("/automation", {"paused_until": None}).json()["paused_until"] is None
    assert Event.objects.filter(type__startswith="automation.").count() == 4


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"paused_until": "required"}),
        ({"paused_until": "2h"}, {"paused_until": "not_a_time"}),
        ({"paused_until": "2001-01-01T00:00:00Z"}, {"paused_until": "past"}),
        ({"paused_until": "2099-01-01T00:00:00Z"}, {"paused_until": "too_long"}),
        ({"paused_until": None, "for": "2h"}, {"for": "unknown_field"}),
    ],
)
def test_a_bad_pause_is_named(body: dict[str, object], errors: dict[str, str]) -> None:
    answer = Caller().put("/automation", body)

    assert (answer.status_code, fields(answer)) == (400, errors)
