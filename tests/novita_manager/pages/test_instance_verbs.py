"""What a person asks for on an instance's page beyond a bare verb: a name, an image, a job's end, other settings."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from instances.models import Event, Instance, Job
from instances.operations import change_settings
from tests.factories import make_instance, make_job
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_an_adoption_proposes_a_name_and_takes_the_one_that_is_written(ann: Client) -> None:
    instance = running("two words", at=timezone.now(), managed=False, wanted="")
    assert 'value="two-words"' in text_of(ann.get(f"/fleet/{instance.pk}"))
    response = ann.post(f"/fleet/{instance.pk}/adopt", {"name": "ours", "reason": "it is ours"}, follow=True)
    assert "adopted; auto-stop only observes it" in text_of(response)
    instance.refresh_from_db()
    assert (instance.managed, instance.name, instance.auto_stop_mode) == (True, "ours", "observe")
    assert Event.objects.get(type="instance.adopted").reason == "it is ours"


def test_an_adoption_from_the_fleet_takes_the_proposed_name_and_leads_back(ann: Client) -> None:
    instance = running("two words", at=timezone.now(), managed=False, wanted="")
    response = ann.post(f"/fleet/{instance.pk}/adopt", {"back": "fleet"})
    assert response["Location"] == "/"
    instance.refresh_from_db()
    assert instance.name == "two-words"


@pytest.mark.parametrize(("name", "told"), [("two words", "only letters, digits"), ("taken", "choose another")])
def test_a_name_that_may_not_be_is_refused_in_the_api_s_words(ann: Client, name: str, told: str) -> None:
    running("taken")
    instance = running("theirs", managed=False, wanted="")
    assert told in text_of(ann.post(f"/fleet/{instance.pk}/adopt", {"name": name}, follow=True))
    instance.refresh_from_db()
    assert not instance.managed


def test_saving_an_image_opens_its_job_and_a_bad_address_does_not(ann: Client) -> None:
    instance = make_instance(name="trainer", now=timezone.now())
    refused = ann.post(f"/fleet/{instance.pk}/save-image", {"image": "nowhere"}, follow=True)
    assert "write it as registry/repository:tag" in text_of(refused)
    assert not Job.objects.exists()
    ann.post(f"/fleet/{instance.pk}/save-image", {"image": "docker.io/me/it:1", "registry_auth_id": "", "reason": "keep"})
    job = Job.objects.get()
    assert (job.verb, job.arguments["image"], job.reason, job.requested_by_name) == (
        "save_image",
        "docker.io/me/it:1",
        "keep",
        "ann",
    )


def test_a_move_is_asked_for_like_any_verb(ann: Client) -> None:
    instance = make_instance(name="trainer", now=timezone.now())
    ann.post(f"/fleet/{instance.pk}/migrate", {"reason": "a slow node"})
    assert Job.objects.get().verb == "migrate"


def test_an_errand_is_not_offered_while_a_job_is_open(ann: Client) -> None:
    instance = make_instance(name="trainer", now=timezone.now())
    assert 'id="do-migrate"' in text_of(ann.get(f"/fleet/{instance.pk}"))
    make_job(instance, verb="stop", now=timezone.now())
    shown = text_of(ann.get(f"/fleet/{instance.pk}"))
    assert 'id="do-migrate"' not in shown
    assert 'id="do-save-image"' not in shown


def test_jobs_show_their_error_and_where_they_were_placed_and_why(ann: Client) -> None:
    instance = make_instance(name="trainer", status="", now=timezone.now())
    offer = {
        "product_name": "RTX 4090 24GB",
        "region": "EU-01",
        "billing_mode": "spot",
        "price_usd_per_hour": "0.18",
        "inventory": "low",
    }
    placement = {
        "candidates": [{**offer, "rank": 1}],
        "refused": [{**offer, "code": "no_stock", "reason": "it is sold out"}],
    }
    make_job(
        instance,
        verb="create",
        state="failed",
        now=timezone.now(),
        attempts=2,
        error_code="no_capacity",
        error_detail="no GPU is free",
        placement=placement,
    )
    shown = text_of(ann.get(f"/fleet/{instance.pk}"))
    for part in (
        "2 calls",
        "no GPU is free",
        "no_capacity",
        "RTX 4090 24GB in EU-01, spot, $0.18",
        "it is sold out",
        "Try again",
    ):
        assert part in shown


def test_a_job_that_was_not_sent_is_cancelled_and_a_failed_one_tried_again(ann: Client) -> None:
    instance = make_instance(name="trainer", now=timezone.now())
    job = make_job(instance, verb="stop", now=timezone.now())
    assert f"/jobs/{job.pk}/cancel" in text_of(ann.get(f"/fleet/{instance.pk}"))
    response = ann.post(f"/fleet/{instance.pk}/jobs/{job.pk}/cancel", follow=True)
    assert "The stop job cancelled." in text_of(response)
    job.refresh_from_db()
    assert job.state == "cancelled"

    failed = make_job(instance, verb="restart", state="failed", now=timezone.now() + timedelta(seconds=1))
    ann.post(f"/fleet/{instance.pk}/jobs/{failed.pk}/retry")
    assert Job.objects.filter(verb="restart", state="queued").exists()


def test_a_job_that_was_sent_is_not_cancelled_and_the_page_says_so(ann: Client) -> None:
    instance = make_instance(name="trainer", now=timezone.now())
    job = make_job(instance, verb="stop", state="confirming", now=timezone.now(), called_at=timezone.now())
    assert "/cancel" not in text_of(ann.get(f"/fleet/{instance.pk}"))
    response = ann.post(f"/fleet/{instance.pk}/jobs/{job.pk}/cancel", follow=True)
    assert "Novita was asked already" in text_of(response)


def test_a_job_belongs_to_its_instance_and_to_who_may_control_it(ann: Client) -> None:
    instance, other = (make_instance(now=timezone.now()) for _ in range(2))
    job = make_job(instance, verb="delete", now=timezone.now())
    assert ann.post(f"/fleet/{other.pk}/jobs/{job.pk}/cancel").status_code == 404
    assert ann.post(f"/fleet/{instance.pk}/jobs/{job.pk}/explode").status_code == 404
    operator = signed_in(person("oli", "view_instance", "change_instance"))
    assert "/cancel" not in text_of(operator.get(f"/fleet/{instance.pk}"))
    assert operator.post(f"/fleet/{instance.pk}/jobs/{job.pk}/cancel").status_code == 403
    job.refresh_from_db()
    assert job.state == "queued"


def form_of(client: Client, instance: Instance) -> dict[str, str]:
    """What the settings form would send if nothing was touched."""
    page = client.get(f"/fleet/{instance.pk}/settings").content.decode()
    sent = dict(
        re.findall(r'<input(?=[^>]*type="(?:text|hidden|datetime-local)")[^>]*name="(\w+)"[^>]*? value="([^"]*)"', page)
    )
    sent |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>([^<]*)</textarea>', page))
    sent |= dict(re.findall(r'<select[^>]*name="(\w+)".*?<option value="([^"]*)" selected', page, re.DOTALL))
    sent |= dict.fromkeys(re.findall(r'<input type="checkbox"[^>]*name="(\w+)" checked', page), "on")
    sent["was"] = re.search(r'name="was" value="([^"]*)"', page)[1].replace("&amp;", "&")  # type: ignore[index]
    return sent


def test_settings_are_changed_with_one_event_that_names_the_person_and_the_reason(ann: Client) -> None:
    instance = make_instance(name="trainer", owner="vision", labels={"team": "a"}, now=timezone.now())
    sent = form_of(ann, instance)
    assert (sent["owner"], sent["labels"], sent["health_check"], sent["auto_stop_mode"]) == (
        "vision",
        "team=a",
        "any",
        "enforce",
    )
    sent |= {
        "owner": "speech",
        "labels": "team=b\nrun = 7",
        "protected": "on",
        "auto_stop_mode": "observe",
        "auto_stop_threshold": "45m",
        "auto_stop_policy": "default",
        "health_check": "http 8080 /health",
        "max_price_usd_per_hour": "0.5",
        "reason": "handed over",
    }
    response = ann.post(f"/fleet/{instance.pk}/settings", sent, follow=True)
    assert "trainer: settings saved." in text_of(response)
    instance.refresh_from_db()
    assert (instance.owner, instance.labels, instance.protected) == ("speech", {"team": "b", "run": "7"}, True)
    assert (instance.auto_stop_mode, instance.auto_stop_threshold) == ("observe", timedelta(minutes=45))
    assert instance.auto_stop_policy == "default"
    assert instance.health_check == {"http": {"port": 8080, "path": "/health", "status": 200}}
    event = Event.objects.get(type="instance.settings_changed")
    assert (event.actor_name, event.reason, event.before["owner"]) == ("ann", "handed over", "vision")


def test_what_was_not_touched_stays_even_if_somebody_else_changed_it_meanwhile(ann: Client) -> None:
    past = timezone.now() - timedelta(hours=1)
    instance = make_instance(name="trainer", owner="vision", stop_at=past, now=timezone.now())
    sent = form_of(ann, instance)
    change_settings(instance.pk, {"owner": "speech"}, actor=KEY, reason="", now=timezone.now())
    ann.post(f"/fleet/{instance.pk}/settings", sent | {"local_data": "precious"})
    instance.refresh_from_db()
    assert (instance.owner, instance.local_data, instance.stop_at) == ("speech", "precious", past)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "two words", "Only letters, digits"),
        ("name", "taken", "choose another"),
        ("owner", "", "It must not be empty"),
        ("auto_stop_threshold", "20", "Write a duration such as"),
        ("auto_stop_policy", "nights", "There is no policy named"),
        ("stop_at", "2020-01-01T00:00", "Write a time that is yet to come"),
        ("labels", "nothing", "as name=text"),
        ("health_check", "http 81", "Port 81 is not among the exposed ports"),
        ("health_check", "udp 81", "Write any, none"),
        ("webhook_url", "ftp://x", "Write an address that begins with http"),
        ("max_price_usd_per_hour", "-1", "Write an amount above 0"),
    ],
)
def test_a_setting_the_api_refuses_is_refused_beside_its_field_and_nothing_is_lost(
    ann: Client, field: str, value: str, told: str
) -> None:
    make_instance(name="taken", now=timezone.now())
    instance = make_instance(name="trainer", owner="vision", now=timezone.now())
    sent = form_of(ann, instance) | {field: value, "reason": "still here"}
    shown = text_of(ann.post(f"/fleet/{instance.pk}/settings", sent))
    assert "Not saved." in shown
    assert told in shown
    assert 'value="still here"' in shown
    assert not Event.objects.filter(type="instance.settings_changed").exists()


def test_what_is_not_ours_or_has_ended_has_no_settings(ann: Client) -> None:
    theirs = running("theirs", managed=False, wanted="")
    over = running("over", phase="deleted", ended_at=timezone.now())
    assert "adopt it first" in text_of(ann.get(f"/fleet/{theirs.pk}/settings", follow=True))
    assert "it is deleted" in text_of(ann.get(f"/fleet/{over.pk}/settings", follow=True))
