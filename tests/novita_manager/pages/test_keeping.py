"""Keeping an instance from its page: by whom, until when, at what cost, and its end."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from instances.events import Actor
from instances.models import Event, Instance
from instances.operations import keep_until
from tests.pages import person, running, signed_in

pytestmark = pytest.mark.django_db
TWO_HOURS = timedelta(hours=2)
SOON = timedelta(minutes=1)


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_it_is_kept_for_two_hours_with_what_that_means_said_before_and_after(ann: Client) -> None:
    instance = running("box", at=timezone.now(), price="0.35")

    page = ann.get(f"/fleet/{instance.pk}")
    asked = text_of(page)
    answer = ann.post(f"/fleet/{instance.pk}/keep", {"for": "shortly", "reason": "a long run"}, follow=True)

    assert "No rule stops it before the time you choose" in asked
    assert "For 2 h about $0.70" in asked
    assert f'action="/fleet/{instance.pk}/keep"' in page.content.decode()
    assert f'action="/fleet/{instance.pk}/end-keep"' in page.content.decode()
    instance.refresh_from_db()
    assert instance.keep_until is not None
    assert abs(instance.keep_until - timezone.now() - TWO_HOURS) < SOON
    told = text_of(answer)
    assert "box is kept: auto-stop leaves it alone until" in told
    assert "It costs about $0.70 until then." in told
    assert "by ann : a long run" in told
    event = Event.objects.get(type="instance.kept")
    assert (event.actor_name, event.reason) == ("ann", "a long run")


def test_until_midnight_is_the_end_of_the_day_of_its_policy(ann: Client) -> None:
    instance = running("box", at=timezone.now())

    ann.post(f"/fleet/{instance.pk}/keep", {"for": "today", "reason": "a demo"})

    instance.refresh_from_db()
    assert instance.keep_until is not None
    assert f"{instance.keep_until:%H:%M:%S}" == "00:00:00"
    assert timedelta(0) < instance.keep_until - timezone.now() <= timedelta(days=1)


def test_a_time_is_read_as_utc(ann: Client) -> None:
    instance = running("box", at=timezone.now())
    until = (timezone.now() + timedelta(days=3)).replace(second=0, microsecond=0)

    ann.post(f"/fleet/{instance.pk}/keep", {"until": f"{until:%Y-%m-%dT%H:%M}", "reason": "training"})

    instance.refresh_from_db()
    assert instance.keep_until == until


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"for": "shortly", "reason": " "}, "reason: it must not be empty"),
        ({"until": "", "reason": "training"}, "until: write a time"),
        ({"until": "2020-01-01T00:00", "reason": "training"}, "until: write a time that is yet to come"),
        ({"until": "2200-01-01T00:00", "reason": "training"}, "at most 30 days"),
    ],
)
def test_what_may_not_be_is_refused_in_the_words_of_the_api(ann: Client, typed: dict[str, str], told: str) -> None:
    instance = running("box", at=timezone.now())

    answer = ann.post(f"/fleet/{instance.pk}/keep", typed, follow=True)

    assert told in text_of(answer)
    instance.refresh_from_db()
    assert instance.keep_until is None


def test_keeping_ends_by_a_button(ann: Client) -> None:
    instance = running("box", at=timezone.now())
    now = timezone.now()
    keep_until(instance.pk, now + TWO_HOURS, reason="training", actor=Actor(kind="user", name="bob"), now=now)
    assert "by bob : training" in text_of(ann.get(f"/fleet/{instance.pk}"))

    told = text_of(ann.post(f"/fleet/{instance.pk}/end-keep", follow=True))

    assert "box is kept no longer" in told
    assert "by bob" not in text_of(ann.get(f"/fleet/{instance.pk}/rows"))
    instance.refresh_from_db()
    assert instance.keep_until is None


def test_who_may_only_look_is_offered_nothing_and_is_refused() -> None:
    instance = running("box", at=timezone.now())
    eve = signed_in(person("eve", "view_instance"))

    assert "Keep until" not in text_of(eve.get(f"/fleet/{instance.pk}"))
    assert eve.post(f"/fleet/{instance.pk}/keep", {"for": "shortly", "reason": "mine"}).status_code == 403
    assert eve.post(f"/fleet/{instance.pk}/end-keep").status_code == 403
    assert Instance.objects.get(pk=instance.pk).keep_until is None


@pytest.mark.parametrize("columns", [{"managed": False, "wanted": ""}, {"wanted": "deleted"}], ids=["found", "deleted"])
def test_what_cannot_be_kept_is_not_offered_to_be(ann: Client, columns: dict[str, Any]) -> None:
    instance = running("box", at=timezone.now(), **columns)

    assert "Keep until" not in text_of(ann.get(f"/fleet/{instance.pk}"))


def test_a_time_that_has_passed_keeps_nothing_any_more(ann: Client) -> None:
    now = timezone.now()
    instance = running("box", at=now, keep_until=now - SOON, keep_reason="training", keep_by="bob")

    assert "by bob" not in text_of(ann.get(f"/fleet/{instance.pk}"))
