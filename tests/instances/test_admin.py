from datetime import timedelta

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from instances.alarms import raise_alarm
from instances.models import Event, Instance
from instances.operations import request_stop
from tests.instances.admin_calls import LIST, text_of
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db

OURS = {"instances", "autostop", "sync", "novita_manager"}


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def settings_of(instance: Instance, **changes: str) -> dict[str, str]:
    """What the form of an instance sends when nothing but `changes` was touched."""
    plain = {
        "name": instance.name,
        "auto_stop_mode": instance.auto_stop_mode,
        "auto_stop_threshold": "",
        "stop_at_0": "",
        "stop_at_1": "",
        "health_check": "{}",
        "webhook_url": "",
        "labels": "{}",
        "owner": instance.owner,
        "local_data": instance.local_data,
        "on_startup_timeout": instance.on_startup_timeout,
        "max_price_usd_per_hour": "",
        "reason": "",
    }
    for prefix in ("machines", "jobs"):
        plain |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    return plain | changes


def test_every_model_of_ours_is_in_the_admin_and_its_list_opens(ann: Client) -> None:
    instance = running("trainer")
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=timezone.now(), instance=instance)
    request_stop(instance.pk, actor=KEY, reason="", now=timezone.now())
    models = {model for model in admin.site._registry if model._meta.app_label in OURS}
    assert {"Instance", "Machine", "Job", "Event", "Alarm", "ApiKey", "Offer", "SyncRun"} <= {one.__name__ for one in models}
    for model in models:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert ann.get(address).status_code == 200, address
        row = model._default_manager.first()
        if row is not None:
            assert ann.get(f"{address}{row.pk}/change/").status_code == 200, address


def test_nothing_observed_can_be_added_changed_or_deleted(ann: Client) -> None:
    instance = running("trainer")
    machine = instance.machine
    assert machine is not None
    for address in ("instance", "machine", "job", "event", "alarm", "offer"):
        assert ann.get(f"/admin/instances/{address}/add/").status_code == 403
    for row, name in ((instance, "instance"), (machine, "machine"), (Event.objects.get(), "event")):
        assert ann.post(f"/admin/instances/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    refused = ann.post(f"/admin/instances/machine/{machine.pk}/change/", {"status": "removed"})
    assert refused.status_code == 403
    machine.refresh_from_db()
    assert machine.status == "running"


def test_the_form_of_an_instance_takes_settings_and_nothing_observed(ann: Client) -> None:
    instance = running("trainer")
    data = settings_of(
        instance, owner="speech", auto_stop_threshold="45m", phase="stopped", wanted="deleted", reason="moved"
    )
    response = ann.post(f"{LIST}{instance.pk}/change/", data)
    assert response.status_code == 302, text_of(response)
    instance.refresh_from_db()
    assert (instance.owner, instance.auto_stop_threshold) == ("speech", timedelta(minutes=45))
    assert (instance.phase, instance.wanted) == ("ready", "running")
    event = Event.objects.get(type="instance.settings_changed")
    assert (event.actor_kind, event.actor_name, event.reason) == ("user", "ann", "moved")
    assert event.before == {"owner": "vision", "auto_stop_threshold": None}
    assert event.after == {"owner": "speech", "auto_stop_threshold": "2700s"}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "two words", "only letters, digits"),
        ("auto_stop_threshold", "20", "write a duration such as"),
        ("labels", '{"a": 1}', "a string of at most 255 characters"),
        ("health_check", '{"http": {"port": 81}}', "port 81 is not among the exposed ports"),
        ("webhook_url", "ftp://x", "begins with http"),
        ("max_price_usd_per_hour", "-1", "an amount above 0"),
    ],
)
def test_a_setting_the_api_refuses_is_refused_here_with_its_words(ann: Client, field: str, value: str, told: str) -> None:
    instance = running("trainer")
    response = ann.post(f"{LIST}{instance.pk}/change/", settings_of(instance, **{field: value}))
    assert response.status_code == 200
    assert told in text_of(response)
    assert not Event.objects.filter(type="instance.settings_changed").exists()


def test_a_taken_name_is_refused_in_words(ann: Client) -> None:
    running("taken")
    instance = running("trainer")
    response = ann.post(f"{LIST}{instance.pk}/change/", settings_of(instance, name="TAKEN"), follow=True)
    assert response.status_code == 200
    assert "managed instance" in text_of(response)
    instance.refresh_from_db()
    assert instance.name == "trainer"


def test_an_instance_that_is_not_managed_can_only_be_looked_at(ann: Client) -> None:
    instance = running("trainer", managed=False, wanted="")
    shown = text_of(ann.get(f"{LIST}{instance.pk}/change/"))
    assert 'name="owner"' not in shown
    assert 'value="adopt"' in shown
    assert 'value="stop"' not in shown


def test_the_story_of_an_instance_is_told_on_its_page(ann: Client) -> None:
    instance = running("trainer")
    request_stop(instance.pk, actor=KEY, reason="enough for today", now=timezone.now())
    shown = text_of(ann.get(f"{LIST}{instance.pk}/change/"))
    assert "key demo wants it stopped<small>enough for today</small>" in shown


def test_who_may_only_look_changes_no_setting() -> None:
    vic = signed_in(person("vic", "view_instance"))
    instance = running("trainer")
    assert vic.get(f"{LIST}{instance.pk}/change/").status_code == 200
    assert vic.post(f"{LIST}{instance.pk}/change/", settings_of(instance, owner="vic")).status_code == 403
    instance.refresh_from_db()
    assert instance.owner == "vision"


def test_a_name_of_somebody_is_shown_as_it_was_written_and_never_as_markup(ann: Client) -> None:
    instance = running("<script>alert(1)</script>", owner='"><b>owner', managed=False, wanted="")
    for address in (LIST, f"{LIST}{instance.pk}/change/"):
        raw = ann.get(address).content.decode()
        assert "<script>alert(1)" not in raw
        assert "<b>owner" not in raw
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in raw
