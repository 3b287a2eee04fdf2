"""Pausing, taking note of alarms, and the rehearsals of sync and auto-stop, as pages."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from instances import provider
from instances.alarms import raise_alarm
from instances.models import Alarm, AutomationPause, Event, Instance
from instances.novita.simulator.server import SimulatorServer
from tests.pages import person, running, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


@pytest.fixture(name="novita")
def _novita(settings: Any) -> Iterator[SimulatorServer]:
    server = SimulatorServer(port=0, state=None, fleet="7", speed=100)
    server.start()
    settings.NOVITA_API_BASE_URL = server.url
    provider.forget_client()
    yield server
    provider.forget_client()
    server.stop()


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_a_pause_needs_a_reason_shows_on_every_page_and_ends_when_resumed(ann: Client) -> None:
    instance = running("trainer", at=timezone.now())
    assert ann.post("/pause", {"hours": "2", "reason": ""}).status_code == 400
    assert ann.post("/pause", {"hours": "1000", "reason": "x"}).status_code == 400
    assert not AutomationPause.objects.exists()

    ann.post("/pause", {"hours": "2", "reason": "demo day"})

    pause = AutomationPause.objects.get()
    assert pause.paused_until is not None
    assert timedelta(hours=1, minutes=59) < pause.paused_until - timezone.now() <= timedelta(hours=2)
    for address in ("/", f"/fleet/{instance.pk}", "/create", "/pause", "/stop-all"):
        assert "Automation is paused" in text_of(ann.get(address)), address
    assert "Automation goes on" in text_of(ann.post("/resume", follow=True))
    assert "Automation is paused" not in text_of(ann.get("/"))
    assert [one.actor_name for one in Event.objects.filter(type__startswith="automation.")] == ["ann", "ann"]


def test_an_alarm_is_taken_note_of_with_a_reason(ann: Client) -> None:
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=timezone.now())
    alarm = Alarm.objects.get()

    refused = ann.post(f"/alarms/{alarm.pk}/acknowledge", {"other": "1"}, follow=True)
    assert "Not acknowledged: reason: This field is required" in text_of(refused)
    ann.post(f"/alarms/{alarm.pk}/acknowledge", {f"reason-{alarm.pk}": "known", f"hours-{alarm.pk}": "8"})

    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.acknowledged_reason) == ("ann", "known")
    assert alarm.acknowledged_until is not None
    assert "Noted by <bdi>ann</bdi>" in text_of(ann.get("/"))
    assert "is over already" in text_of(ann.post("/alarms/999/acknowledge", {"reason-999": "x"}, follow=True))


@pytest.mark.usefixtures("novita")
def test_a_sync_is_shown_before_it_is_made(ann: Client) -> None:
    shown = text_of(ann.get("/sync"))
    assert "Novita lists 7 instances now. 7 differences would be taken over" in shown
    assert not Instance.objects.exists()

    done = text_of(ann.post("/sync", follow=True))
    assert "Synced: 7 listed by Novita, 7 differences taken over." in done
    assert Instance.objects.count() == 7
    assert "there is nothing to take over" in text_of(ann.get("/sync"))


def test_a_sync_without_novita_says_so(ann: Client, settings: Any) -> None:
    settings.NOVITA_API_BASE_URL = "http://127.0.0.1:9"
    provider.forget_client()
    assert "Not synced: Novita did not answer" in text_of(ann.get("/sync", follow=True))
    provider.forget_client()


@pytest.mark.usefixtures("novita")
def test_a_pass_of_auto_stop_is_shown_before_it_is_made(ann: Client) -> None:
    running("trainer", at=timezone.now(), last_used_at=timezone.now())
    shown = text_of(ann.get("/auto-stop"))
    assert "A pass now would stop nothing" in shown
    assert "trainer" in shown
    assert "1 considered" in text_of(ann.post("/auto-stop", follow=True))


def test_who_may_only_look_is_refused_all_of_it() -> None:
    bob = signed_in(person("bob", "view_instance"))
    for address in ("/sync", "/auto-stop", "/pause"):
        assert bob.get(address).status_code == 403, address
        assert bob.post(address).status_code == 403, address
    assert bob.post("/resume").status_code == 403
    shown = text_of(bob.get("/"))
    assert "Stop all" not in shown
    assert "Pause" not in shown
