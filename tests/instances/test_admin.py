import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instances.alarms import raise_alarm
from instances.models import Alarm, Event, Instance, Job
from instances.operations import request_stop
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db

LIST = "/admin/instances/instance/"
OURS = {"instances", "autostop", "sync", "novita_manager"}


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


@pytest.fixture(name="vic")
def _vic() -> Client:
    """May look at everything of instances, and change nothing."""
    return signed_in(person("vic", "view_instance", "view_machine", "view_job", "view_event", "view_alarm"))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def run(client: Client, address: str, action: str, *rows: Any, **more: str) -> Any:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    return client.post(address, data, follow=True)


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


def test_a_stop_of_many_counts_what_was_asked_and_why_the_rest_was_refused(ann: Client) -> None:
    one, two = running("one"), running("two")
    foreign = running("foreign", managed=False, wanted="")
    shown = text_of(run(ann, LIST, "stop", one, two, foreign))
    assert "2 asked to stop." in shown
    assert "1 refused. foreign: it was not made here" in shown
    assert set(Job.objects.values_list("verb", "requested_by_kind", "requested_by_name")) == {("stop", "user", "ann")}
    assert Job.objects.count() == 2


@pytest.mark.parametrize(("action", "verb"), [("stop", "stop"), ("restart", "restart")])
def test_a_verb_becomes_a_job(ann: Client, action: str, verb: str) -> None:
    run(ann, LIST, action, running("trainer"))
    assert Job.objects.get().verb == verb


def test_keep_awake_release_and_adopt_leave_their_mark(ann: Client) -> None:
    instance = running("trainer")
    run(ann, LIST, "keep_awake", instance)
    instance.refresh_from_db()
    assert instance.last_used_at is not None
    run(ann, LIST, "release", instance)
    instance.refresh_from_db()
    assert not instance.managed
    run(ann, LIST, "adopt", instance)
    instance.refresh_from_db()
    assert (instance.managed, instance.wanted, instance.auto_stop_mode) == (True, "running", "observe")


def test_adopting_makes_a_name_of_ours_from_one_of_novita_s(ann: Client) -> None:
    spaced = running("my big box!", managed=False, wanted="")
    nameless = running("", managed=False, wanted="")
    assert nameless.machine is not None
    run(ann, LIST, "adopt", spaced, nameless)
    spaced.refresh_from_db()
    nameless.refresh_from_db()
    assert (spaced.name, nameless.name) == ("my-big-box", "adopted-id-")


def test_a_verb_asked_on_an_instance_s_page_comes_back_to_it(ann: Client) -> None:
    instance = running("trainer")
    response = run(ann, LIST, "stop", instance, back="object")
    assert response.redirect_chain[-1][0] == f"{LIST}{instance.pk}/change/"


def test_a_delete_first_names_its_cost_and_what_is_lost(ann: Client) -> None:
    instance = running("trainer", at=timezone.now(), local_data="precious")
    asked = text_of(run(ann, LIST, "delete", instance))
    assert "trainer: ready, billed $0.35 per hour now, $0.70 so far; its local data is PRECIOUS" in asked
    assert not Job.objects.exists()
    done = text_of(run(ann, LIST, "delete", instance, confirmed="yes"))
    assert "1 asked to delete." in done
    assert Job.objects.get().verb == "delete"


def test_a_protected_instance_is_not_deleted_from_here_either(ann: Client) -> None:
    shown = text_of(run(ann, LIST, "delete", running("trainer", protected=True), confirmed="yes"))
    assert "1 refused. trainer: it is protected" in shown
    assert not Job.objects.exists()


def test_who_may_only_look_is_offered_no_verb_and_gets_none(vic: Client) -> None:
    instance = running("trainer")
    assert 'value="stop"' not in text_of(vic.get(LIST))
    assert 'value="stop"' not in text_of(vic.get(f"{LIST}{instance.pk}/change/"))
    run(vic, LIST, "stop", instance)
    assert vic.post(f"{LIST}{instance.pk}/change/", settings_of(instance, owner="vic")).status_code == 403
    assert not Job.objects.exists()
    instance.refresh_from_db()
    assert instance.owner == "vision"


def test_a_job_not_yet_sent_is_cancelled_and_a_failed_one_tried_again(ann: Client) -> None:
    instance = running("trainer")
    request_stop(instance.pk, actor=KEY, reason="", now=timezone.now())
    job = Job.objects.get()
    assert "1 cancelled." in text_of(run(ann, "/admin/instances/job/", "cancel", job))
    job.refresh_from_db()
    assert job.state == "cancelled"
    Job.objects.filter(pk=job.pk).update(state="failed")
    assert "1 queued again." in text_of(run(ann, "/admin/instances/job/", "retry", job))
    assert Job.objects.filter(state="queued", verb="stop").count() == 1


def test_an_alarm_is_acknowledged_only_with_a_reason(ann: Client) -> None:
    raise_alarm("no_metrics", "x", text="no data comes", remedy="Look", now=timezone.now())
    alarm = Alarm.objects.get()
    address = "/admin/instances/alarm/"
    assert "no data comes" in text_of(run(ann, address, "acknowledge", alarm))
    run(ann, address, "acknowledge", alarm, confirmed="yes", reason="")
    alarm.refresh_from_db()
    assert alarm.acknowledged_by == ""
    assert "1 acknowledged." in text_of(run(ann, address, "acknowledge", alarm, confirmed="yes", reason="known", hours="2"))
    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.acknowledged_reason) == ("ann", "known")
    assert alarm.acknowledged_until is not None


@pytest.mark.parametrize("name", ["instance", "machine", "job", "event", "alarm"])
def test_a_list_needs_no_more_queries_for_many_rows(ann: Client, name: str) -> None:
    def fill(count: int) -> None:
        for number in range(count):
            label = f"trainer-{Instance.objects.count()}-{number}"
            instance = running(label)
            request_stop(instance.pk, actor=KEY, reason="", now=timezone.now())
            raise_alarm("no_metrics", label, text="no data", remedy="Look", now=timezone.now(), instance=instance)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert ann.get(f"/admin/instances/{name}/").status_code == 200
        return len(seen)

    fill(2)
    queries()
    few = queries()
    fill(10)
    assert queries() == few


def test_the_story_of_an_instance_is_told_on_its_page(ann: Client) -> None:
    instance = running("trainer")
    request_stop(instance.pk, actor=KEY, reason="enough for today", now=timezone.now())
    shown = text_of(ann.get(f"{LIST}{instance.pk}/change/"))
    assert "key demo wants it stopped<small>enough for today</small>" in shown
