"""Alarms and the pause of automation in the admin."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from instances.alarms import clear_alarm, raise_alarm
from instances.models import Alarm, AutomationPause, Event
from instances.operations import pause_automation
from tests.instances.admin_calls import ALARMS, confirm, run, words_of
from tests.pages import KEY, person, signed_in

pytestmark = pytest.mark.django_db

PAUSE = "/admin/instances/automationpause/"


@pytest.fixture(name="otto")
def _otto() -> Client:
    return signed_in(person("otto", "view_instance", "change_instance", "view_alarm", "view_automationpause"))


@pytest.fixture(name="vic")
def _vic() -> Client:
    return signed_in(person("vic", "view_instance", "view_alarm", "view_automationpause"))


def open_alarm(subject: str = "x", text: str = "no data comes") -> Alarm:
    raise_alarm("no_metrics", subject, text=text, remedy="Look", now=timezone.now())
    return Alarm.objects.get(subject=subject)


def test_an_alarm_is_acknowledged_only_with_a_reason(otto: Client) -> None:
    alarm = open_alarm()
    assert "no data comes" in words_of(run(otto, ALARMS, "acknowledge", alarm))
    confirm(otto, ALARMS, "acknowledge", alarm, reason="")
    alarm.refresh_from_db()
    assert alarm.acknowledged_by == ""
    shown = words_of(confirm(otto, ALARMS, "acknowledge", alarm, reason="known", hours="2"))
    assert "1 acknowledged." in shown
    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.acknowledged_reason) == ("otto", "known")
    assert alarm.acknowledged_until is not None
    event = Event.objects.get(type="alarm.acknowledged")
    assert (event.actor_kind, event.actor_name, event.reason) == ("user", "otto", "known")


def test_the_list_shows_what_is_open_unless_asked_otherwise(otto: Client) -> None:
    open_alarm("a", "still burning")
    open_alarm("b", "long over")
    clear_alarm("no_metrics", "b", now=timezone.now())
    shown = words_of(otto.get(ALARMS))
    assert "still burning" in shown
    assert "long over" not in shown
    assert "long over" in words_of(otto.get(ALARMS, {"cleared": "all"}))
    assert "still burning" not in words_of(otto.get(ALARMS, {"cleared": "over"}))


def test_automation_is_paused_with_a_reason_and_an_end_and_resumed(otto: Client) -> None:
    assert "Automation is running" in words_of(otto.get(PAUSE))
    assert "what idles goes on costing" in words_of(otto.get(f"{PAUSE}pause/"))
    for bad in ({"hours": "2", "reason": ""}, {"hours": "169", "reason": "x"}, {"hours": "0", "reason": "x"}):
        otto.post(f"{PAUSE}pause/", {"confirmed": "yes", **bad})
    assert not AutomationPause.objects.exists()
    shown = words_of(otto.post(f"{PAUSE}pause/", {"confirmed": "yes", "hours": "2", "reason": "demo day"}, follow=True))
    assert "Automation is paused" in shown
    assert "by otto: demo day" in shown
    pause = AutomationPause.objects.get()
    assert pause.paused_until is not None
    assert timedelta(minutes=119) < pause.paused_until - timezone.now() <= timedelta(hours=2)
    shown = words_of(otto.post(f"{PAUSE}resume/", {"confirmed": "yes", "reason": "over"}, follow=True))
    assert "Automation is running" in shown
    told = list(Event.objects.order_by("id").values_list("type", "actor_name", "reason"))
    assert told == [("automation.paused", "otto", "demo day"), ("automation.resumed", "otto", "over")]


def test_looking_at_the_page_that_asks_pauses_nothing(otto: Client) -> None:
    otto.get(f"{PAUSE}pause/")
    otto.post(f"{PAUSE}pause/", {"hours": "2", "reason": "not confirmed"})
    assert not AutomationPause.objects.exists()


def test_who_may_only_look_sees_the_pause_and_changes_nothing(vic: Client) -> None:
    pause_automation(until=timezone.now() + timedelta(hours=1), reason="demo", actor=KEY, now=timezone.now())
    shown = words_of(vic.get(PAUSE))
    assert "Automation is paused" in shown
    assert "Resume…" not in shown
    assert vic.post(f"{PAUSE}resume/", {"confirmed": "yes"}).status_code == 403
    assert vic.post(f"{PAUSE}pause/", {"confirmed": "yes", "hours": "2", "reason": "x"}).status_code == 403
    assert run(vic, ALARMS, "acknowledge", open_alarm(), confirmed="yes", reason="x").status_code == 403
    assert AutomationPause.objects.get().holds(timezone.now())
    assert not Event.objects.filter(actor_kind="user").exists()
