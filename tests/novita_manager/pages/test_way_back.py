"""Whoever acts comes back to where they asked: the same filters and page, and never another site."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from instances.alarms import raise_alarm
from instances.models import Alarm
from tests.pages import person, running, signed_in

pytestmark = pytest.mark.django_db

HERE = "/?owner=vision&sort=-price"


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def back_of(html: str) -> str:
    found = re.search(r'name="back" value="([^"]*)"', html.partition('id="content"')[2])
    assert found
    return found[1].replace("&amp;", "&")


def test_a_verb_of_a_row_comes_back_to_its_query(ann: Client) -> None:
    instance = running("trainer", at=timezone.now())
    link = re.search(rf'href="(/fleet/{instance.pk}/stop[^"]*)"', ann.get(HERE).content.decode())
    assert link

    back = back_of(ann.get(link[1].replace("&amp;", "&")).content.decode())

    assert back == HERE
    assert ann.post(f"/fleet/{instance.pk}/stop", {"back": back})["Location"] == HERE


def test_so_does_a_choice_of_many_and_a_stop_of_all(ann: Client) -> None:
    instance = running("trainer", at=timezone.now())
    page = ann.get(HERE).content.decode()
    link = re.search(r'href="(/stop-all[^"]*)"', page)
    assert link
    assert parse_qs(urlsplit(link[1].replace("&amp;", "&")).query)["back"] == [HERE]
    asked = {"chosen": str(instance.pk), "back": back_of(page)}
    for address in ("/many/keep-awake", "/stop-all"):
        back = back_of(ann.get(address, asked).content.decode())
        assert back == HERE
        assert ann.post(address, {**asked, "back": back})["Location"] == HERE


def test_so_does_a_note_on_an_alarm_and_a_pause_from_any_page(ann: Client) -> None:
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=timezone.now())
    alarm = Alarm.objects.get()
    asked = {f"reason-{alarm.pk}": "known", "back": back_of(ann.get(HERE).content.decode())}
    noted = ann.post(f"/alarms/{alarm.pk}/acknowledge", asked)
    assert noted["Location"] == HERE
    link = re.search(r'href="(/pause[^"]*)"', ann.get("/create").content.decode())
    assert link
    back = back_of(ann.get(link[1]).content.decode())
    assert back == "/create"
    assert ann.post("/pause", {"hours": "2", "reason": "demo", "back": back})["Location"] == "/create"
    assert ann.post("/resume", {"back": "/create"})["Location"] == "/create"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil"]
)
def test_nobody_is_led_to_another_site(ann: Client, elsewhere: str) -> None:
    instance = running("trainer", at=timezone.now())
    assert ann.post(f"/fleet/{instance.pk}/stop", {"back": elsewhere})["Location"] == f"/fleet/{instance.pk}"
    assert ann.post("/resume", {"back": elsewhere})["Location"] == "/"
    asked = ann.get(f"/fleet/{instance.pk}/stop", {"back": elsewhere}).content.decode()
    assert "evil" not in asked.partition('id="content"')[2]


def test_an_adoption_from_a_row_is_asked_first(ann: Client) -> None:
    found = running("strange", at=timezone.now(), managed=False, wanted="", wanted_at=None)
    link = re.search(rf'href="(/fleet/{found.pk}/adopt[^"]*)"', ann.get("/").content.decode())
    assert link
    asked = ann.get(link[1].replace("&amp;", "&"))
    assert asked.status_code == 200
    assert "Nothing is sent to Novita" in asked.content.decode()
    assert ann.post(f"/fleet/{found.pk}/adopt", {"back": "/"})["Location"] == "/"
    found.refresh_from_db()
    assert found.managed
