import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from instances.alarms import raise_alarm
from instances.models import Job, ProviderAccount
from instances.operations import change_settings, pause_automation
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db

FLEET_QUERIES = 15


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_without_signing_in_the_page_leads_to_the_sign_in() -> None:
    for address in ("/", "/fleet/rows", f"/fleet/{uuid.uuid4()}"):
        response = Client().get(address)
        assert response.status_code == 302
        assert response["Location"].startswith("/sign-in?next=")


def test_who_may_not_view_instances_is_told_so() -> None:
    response = signed_in(person("bob")).get("/")
    assert response.status_code == 403
    assert "lacks the permission" in text_of(response)


def test_the_page_shows_what_an_instance_is_costs_and_does_next(ann: Client) -> None:
    now = timezone.now()
    instance = running("trainer", at=now)
    instance.next_auto_stop_action = {
        "what": "stop",
        "at": (now + timedelta(minutes=12)).isoformat(),
        "why": "unless it is used",
    }
    instance.save(update_fields=["next_auto_stop_action"])

    shown = text_of(ann.get("/"))

    for part in (
        "trainer",
        ">ready<",
        "RTX 4090 24GB",
        "CN-HK-01",
        "$0.70",
        '$0.35<span class="unit">/h',
        "vision",
        "unless it is used",
    ):
        assert part in shown


def test_the_totals_tell_the_money_of_now_and_how_long_it_lasts(ann: Client) -> None:
    running("one", at=timezone.now(), price="0.35")
    running("two", at=timezone.now(), price="0.0875")
    ProviderAccount.objects.create(name="simulator", first_contact_at=timezone.now(), balance_usd="43.75")

    shown = text_of(ann.get("/"))

    assert "$0.4375<small>per hour, 2 billed" in shown
    assert "$43.75<small>lasts 4 d 4 h at this rate" in shown


def test_open_alarms_and_a_pause_stand_on_top(ann: Client) -> None:
    now = timezone.now()
    raise_alarm("no_metrics", "x", text="trainer: running, paid, no data", remedy="Look at it", now=now)
    pause_automation(until=now + timedelta(hours=2), reason="demo day", actor=KEY, now=now)
    shown = text_of(ann.get("/"))
    assert "trainer: running, paid, no data" in shown
    assert "Automation is paused</strong> until" in shown
    assert "by <bdi>key demo</bdi>: <bdi>demo day</bdi>" in shown


def test_the_banner_says_that_novita_is_played(ann: Client, settings: Any) -> None:
    settings.SIMULATED = True
    assert "SIMULATOR" in text_of(ann.get("/"))
    assert "SIMULATOR" in text_of(ann.get("/admin/"))
    assert "SIMULATOR" in text_of(Client().get("/sign-in"))
    settings.SIMULATED = False
    assert "SIMULATOR" not in text_of(ann.get("/"))
    assert "SIMULATOR" not in text_of(ann.get("/admin/"))


def test_the_pages_forbid_everything_inline_and_the_admin_allows_what_its_theme_needs(ann: Client) -> None:
    instance = running("trainer")
    for address in ("/", f"/fleet/{instance.pk}"):
        response = ann.get(address)
        assert "unsafe" not in response["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", response.content.decode())
    policy = ann.get("/admin/")["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy


def test_rows_answer_304_until_something_changes(ann: Client) -> None:
    instance = running("trainer", at=timezone.now())
    first = ann.get("/fleet/rows")
    assert first.status_code == 200
    again = ann.get("/fleet/rows", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    change_settings(instance.pk, {"owner": "speech"}, actor=KEY, reason="", now=timezone.now())
    changed = ann.get("/fleet/rows", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert "speech" in text_of(changed)


def test_the_page_needs_as_many_queries_for_twenty_instances_as_for_one(
    ann: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        running(f"trainer-{number}", at=timezone.now())
    with django_assert_max_num_queries(FLEET_QUERIES):
        shown = text_of(ann.get("/"))
    assert shown.count('<tr id="row-') == 20


def test_an_ended_instance_leaves_the_page_after_an_hour(ann: Client) -> None:
    now = timezone.now()
    running("just-now", at=now, phase="deleted", ended_at=now - timedelta(minutes=5))
    running("long-ago", at=now, phase="deleted", ended_at=now - timedelta(hours=2))
    shown = text_of(ann.get("/"))
    assert "just-now" in shown
    assert "long-ago" not in shown


def test_a_stop_asked_on_the_page_becomes_a_job_told_with_who_and_why(ann: Client) -> None:
    instance = running("trainer")
    response = ann.post(f"/fleet/{instance.pk}/stop", {"back": "fleet", "reason": "enough for today"}, follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert "trainer: asked to stop." in text_of(response)
    job = Job.objects.get(instance=instance)
    assert (job.verb, job.requested_by_kind, job.requested_by_name, job.reason) == (
        "stop",
        "user",
        "ann",
        "enough for today",
    )
    story = text_of(ann.get(f"/fleet/{instance.pk}"))
    assert "Ann wants it stopped" in story
    assert "enough for today" in story


def test_a_refusal_is_told_in_words(ann: Client) -> None:
    instance = running("trainer", managed=False, wanted="")
    response = ann.post(f"/fleet/{instance.pk}/stop", follow=True)
    assert "adopt it first" in text_of(response)
    assert not Job.objects.exists()


def test_keeping_awake_notes_a_use_now(ann: Client) -> None:
    instance = running("trainer")
    ann.post(f"/fleet/{instance.pk}/keep-awake", {"back": "fleet"})
    instance.refresh_from_db()
    assert instance.last_used_at is not None
    assert timezone.now() - instance.last_used_at < timedelta(minutes=1)


def test_a_delete_needs_the_name_typed(ann: Client) -> None:
    instance = running("trainer")
    response = ann.post(f"/fleet/{instance.pk}/delete", {"typed_name": "traine"}, follow=True)
    assert "Not deleted" in text_of(response)
    assert not Job.objects.exists()
    ann.post(f"/fleet/{instance.pk}/delete", {"typed_name": "trainer"})
    assert Job.objects.get().verb == "delete"


def test_who_may_only_look_sees_no_buttons_and_is_refused() -> None:
    viewer = signed_in(person("vic", "view_instance"))
    instance = running("trainer")
    assert "<button form=" not in text_of(viewer.get("/"))
    assert "Delete for good" not in text_of(viewer.get(f"/fleet/{instance.pk}"))
    assert viewer.post(f"/fleet/{instance.pk}/stop").status_code == 403
    assert not Job.objects.exists()


def test_a_verb_without_the_page_s_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("ann", superuser=True))
    assert client.post(f"/fleet/{running('trainer').pk}/stop").status_code == 403
    assert not Job.objects.exists()


def test_a_verb_by_get_and_an_unknown_verb_change_nothing(ann: Client) -> None:
    instance = running("trainer")
    assert ann.get(f"/fleet/{instance.pk}/stop").status_code == 200
    assert ann.post(f"/fleet/{instance.pk}/explode").status_code == 404
    assert ann.post(f"/fleet/{uuid.uuid4()}/stop").status_code == 404
    assert ann.get(f"/fleet/{uuid.uuid4()}").status_code == 404
    assert not Job.objects.exists()


def test_secrets_are_on_no_page(ann: Client) -> None:
    instance = running("trainer", envs=[{"key": "TOKEN", "value": "hunter2-value"}])
    assert instance.machine is not None
    instance.machine.connection = {"ssh": {"password": "hunter2-value"}}
    instance.machine.save(update_fields=["connection"])
    for address in (
        "/",
        f"/fleet/{instance.pk}",
        f"/admin/instances/instance/{instance.pk}/change/",
        f"/admin/instances/machine/{instance.machine_id}/change/",
    ):
        response = ann.get(address)
        assert response.status_code == 200
        assert "hunter2-value" not in text_of(response)


def test_names_from_outside_are_shown_as_text(ann: Client) -> None:
    running("<script>alert(1)</script>")
    response = ann.get("/")
    assert b"<script>alert" not in response.content
    assert b"&lt;script&gt;alert" in response.content
