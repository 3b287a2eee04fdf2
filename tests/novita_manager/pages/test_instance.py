import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from instances import provider
from instances.alarms import raise_alarm
from instances.models import Event, Instance, Job
from instances.operations import pause_automation
from tests.factories import make_job
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db

PAGE_QUERIES = 32
LIVE_QUERIES = 28
SECRET = "hunter2-value"
CONNECTION = {
    "ssh": {"command": "ssh root@10.0.0.1", "password": f"ssh-{SECRET}"},
    "jupyter": {"url": f"http://10.0.0.1:8888/?token=jupyter-{SECRET}"},
    "web_terminal": {"url": f"http://10.0.0.1/t/{SECRET}", "username": "root", "password": f"web-{SECRET}"},
    "logs": {"instance": "http://10.0.0.1/log/instance"},
}


class NoProvider:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the provider's {name} was reached")


@pytest.fixture(autouse=True)
def nobody_calls_novita(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert get_resolver().url_patterns  # so that no module is imported, and keeps it, while it is patched
    refused = NoProvider()
    monkeypatch.setattr(provider, "novita", lambda: refused)
    monkeypatch.setattr("instances.api.live_reads.novita", lambda: refused)
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def viewer() -> Client:
    return signed_in(person("vic", "view_instance"))


def reachable(name: str = "trainer", **columns: Any) -> Instance:
    instance = running(name, at=timezone.now(), envs=[{"key": "HF_TOKEN", "value": f"env-{SECRET}"}], **columns)
    assert instance.machine is not None
    instance.machine.connection = CONNECTION
    instance.machine.endpoints = [{"port": 8080, "type": "http", "url": "http://10.0.0.1:8080"}]
    instance.machine.save(update_fields=["connection", "endpoints"])
    return instance


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_every_address_of_an_instance_leads_who_is_not_signed_in_to_the_sign_in() -> None:
    instance = running("trainer")
    for part in ("", "/rows", "/story?before=1", "/utilisation", "/cost", "/settings"):
        response = Client().get(f"/fleet/{instance.pk}{part}")
        assert (response.status_code, response["Location"][:9]) == (302, "/sign-in?"), part
    for part in ("/reveal", "/log", "/adopt", "/save-image", f"/jobs/{uuid.uuid4()}/cancel"):
        response = Client().post(f"/fleet/{instance.pk}{part}")
        assert (response.status_code, response["Location"][:9]) == (302, "/sign-in?"), part


def test_an_instance_that_does_not_exist_is_nowhere(ann: Client) -> None:
    nobody = uuid.uuid4()
    for part in ("", "/rows", "/story?before=1", "/utilisation", "/cost", "/settings"):
        assert ann.get(f"/fleet/{nobody}{part}").status_code == 404, part
    for part in ("/reveal", "/log", "/adopt", "/save-image"):
        assert ann.post(f"/fleet/{nobody}{part}").status_code == 404, part


def test_the_page_says_why_what_comes_next_what_holds_it_back_and_what_would_change_it(ann: Client) -> None:
    now = timezone.now()
    instance = running("trainer", at=now, protected=True)
    instance.next_auto_stop_action = {
        "what": "would_stop",
        "at": (now + timedelta(minutes=12)).isoformat(),
        "why": "unless it is used",
    }
    instance.save(update_fields=["next_auto_stop_action"])
    pause_automation(until=now + timedelta(hours=2), reason="demo day", actor=KEY, now=now)

    shown = text_of(ann.get(f"/fleet/{instance.pk}"))

    for part in (
        "Running, by key demo",
        "auto-stop would stop it",
        "unless it is used",
        "It is protected: rules never stop or move it",
        "Rules are paused until",
        "Take the protection off in its settings",
        "Resume automation",
    ):
        assert part in shown


def test_what_a_person_may_ask_says_its_consequence_first(ann: Client) -> None:
    instance = running("trainer", at=timezone.now(), local_data="precious")
    shown = text_of(ann.get(f"/fleet/{instance.pk}"))
    assert "Saves $0.35 per hour from the moment Novita shows it stopped. Its disks still cost." in shown
    assert "loses everything on its local disks, which are marked precious" in shown
    assert "That ends $0.35 per hour." in shown
    assert 'form="ask-delete" name="typed_name"' in shown


def test_a_viewer_sees_all_but_secrets_and_can_ask_for_nothing() -> None:
    instance = reachable()
    client = viewer()
    shown = text_of(client.get(f"/fleet/{instance.pk}"))
    assert "ssh root@10.0.0.1" in shown
    assert "needs the permission to reveal secrets" in shown
    for absent in ("Reveal passwords", "Log of its container", "Delete for good", ">Change</a>", 'id="do-'):
        assert absent not in shown
    for part in ("/stop", "/adopt", "/save-image", "/reveal", "/log"):
        assert client.post(f"/fleet/{instance.pk}{part}").status_code == 403, part
    assert client.get(f"/fleet/{instance.pk}/settings").status_code == 403
    assert not Job.objects.exists()
    assert not Event.objects.filter(type__in=["instance.connection_read", "instance.log_read"]).exists()


def test_an_operator_may_stop_and_set_but_neither_delete_nor_release() -> None:
    instance = running("trainer", at=timezone.now())
    operator = signed_in(person("oli", "view_instance", "change_instance"))
    shown = text_of(operator.get(f"/fleet/{instance.pk}"))
    assert 'id="do-stop"' in shown
    assert ">Change</a>" in shown
    assert 'id="do-delete"' not in shown
    assert 'id="do-release"' not in shown


def test_nothing_secret_is_on_the_page_until_it_is_revealed(ann: Client) -> None:
    instance = reachable()
    for part in ("", "/rows", "/settings", "/cost"):
        assert SECRET not in text_of(ann.get(f"/fleet/{instance.pk}{part}")), part
    assert "HF_TOKEN" in text_of(ann.get(f"/fleet/{instance.pk}"))
    assert not Event.objects.filter(type="instance.connection_read").exists()


@pytest.mark.parametrize("headers", [{}, {"X-Part": "1"}])
def test_revealing_answers_uncached_and_leaves_an_event_with_the_person(ann: Client, headers: dict[str, str]) -> None:
    instance = reachable()
    response = ann.post(f"/fleet/{instance.pk}/reveal", headers=headers)
    shown = text_of(response)
    for part in ("ssh-", "jupyter-", "web-", "env-"):
        assert f"{part}{SECRET}" in shown
    assert "no-store" in response["Cache-Control"]
    assert ("<html" in shown) is (not headers)
    event = Event.objects.get(type="instance.connection_read")
    assert (event.actor_kind, event.actor_name, event.instance_id) == ("user", "ann", instance.pk)
    assert SECRET not in f"{event.reason}{event.before}{event.after}"
    assert "Ann read its passwords and environment" in text_of(ann.get(f"/fleet/{instance.pk}"))


def test_secrets_are_revealed_by_no_get_and_by_no_post_from_elsewhere(ann: Client) -> None:
    instance = reachable()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person("abe", superuser=True))
    assert strict.post(f"/fleet/{instance.pk}/reveal").status_code == 403
    for part in ("/reveal", "/log"):
        assert ann.get(f"/fleet/{instance.pk}{part}").status_code == 405
    assert not Event.objects.filter(type="instance.connection_read").exists()


def test_the_page_needs_a_bounded_number_of_queries_however_long_its_story(
    ann: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    instance = reachable()
    Event.objects.bulk_create(
        Event(type="instance.ready", at=now, instance=instance, actor_kind="system") for _ in range(250)
    )
    for _ in range(20):
        make_job(instance, state="succeeded", now=now)
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=now, instance=instance)
    with django_assert_max_num_queries(PAGE_QUERIES):
        shown = text_of(ann.get(f"/fleet/{instance.pk}"))
    assert shown.count('<li id="event-') == 200
    with django_assert_max_num_queries(LIVE_QUERIES):
        ann.get(f"/fleet/{instance.pk}/rows")


def test_the_parts_answer_304_until_something_changes(ann: Client) -> None:
    instance = reachable()
    assert instance.machine is not None
    instance.machine.billed_since = None
    instance.machine.save(update_fields=["billed_since"])
    first = ann.get(f"/fleet/{instance.pk}/rows")
    again = ann.get(f"/fleet/{instance.pk}/rows", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    ann.post(f"/fleet/{instance.pk}/stop", {"reason": "enough"})
    changed = ann.get(f"/fleet/{instance.pk}/rows", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert "Ann wants it stopped" in text_of(changed)


def test_no_part_that_is_swapped_holds_a_token_that_differs_each_time(ann: Client) -> None:
    instance = reachable()
    first, second = (ann.get(f"/fleet/{instance.pk}/rows") for _ in range(2))
    assert b"csrfmiddlewaretoken" not in first.content
    assert re.sub(rb">[^<]* ago<|>now<", b"", first.content) == re.sub(rb">[^<]* ago<|>now<", b"", second.content)


def test_the_story_goes_by_days_and_on_to_older_pages(ann: Client) -> None:
    now = timezone.now()
    instance = running("trainer", at=now - timedelta(days=3))
    Event.objects.bulk_create(
        Event(type="instance.ready", at=now - timedelta(minutes=300 - number), instance=instance, actor_kind="system")
        for number in range(300)
    )
    shown = ann.get(f"/fleet/{instance.pk}").content.decode()
    days = re.findall(r'<h3 class="day"><time datetime="([\d-]+)"', shown)
    assert days == sorted(set(days), reverse=True)
    link = re.search(rf'href="(/fleet/{instance.pk}/story\?before=\d+)"', shown)
    assert link is not None
    older = ann.get(link[1]).content.decode()
    assert older.count('<li id="event-') == 101
    assert "Here it began." in older
    assert set(re.findall(r'id="(event-\d+)"', shown)).isdisjoint(re.findall(r'id="(event-\d+)"', older))
    assert ann.get(f"/fleet/{instance.pk}/story?before=x").status_code == 404


def test_names_and_reasons_from_outside_are_shown_as_text(ann: Client) -> None:
    hostile = "<script>alert(1)</script>\u202egnp.exe"
    instance = running(hostile, at=timezone.now(), owner=hostile, phase_reason=hostile, labels={"x": hostile})
    for part in ("", "/rows", "/settings"):
        response = ann.get(f"/fleet/{instance.pk}{part}")
        assert response.status_code == 200
        assert b"<script>alert" not in response.content
    assert f"<bdi>{hostile.replace('<', '&lt;').replace('>', '&gt;')}</bdi>" in text_of(ann.get(f"/fleet/{instance.pk}"))


def test_an_address_that_is_no_web_address_is_no_link(ann: Client) -> None:
    instance = reachable()
    assert instance.machine is not None
    instance.machine.endpoints = [{"port": 1, "type": "http", "url": "javascript:alert(1)"}]
    instance.machine.connection = {"jupyter": {"url": "javascript:alert(2)"}}
    instance.machine.save(update_fields=["endpoints", "connection"])
    assert 'href="javascript' not in text_of(ann.get(f"/fleet/{instance.pk}"))
    assert 'href="javascript' not in text_of(ann.post(f"/fleet/{instance.pk}/reveal"))


def test_the_page_and_its_parts_allow_nothing_inline(ann: Client) -> None:
    instance = reachable()
    for part in ("", "/settings", "/cost", "/story?before=99999"):
        response = ann.get(f"/fleet/{instance.pk}{part}")
        assert "unsafe" not in response["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", response.content.decode()), part
