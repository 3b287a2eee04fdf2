"""The ways through the admin: what each person sees of them, and what they say waits."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instances.alarms import acknowledge, raise_alarm
from instances.models import Alarm, Job
from instances.operations import pause_automation
from novita_manager.admin_navigation import AREAS
from novita_manager.roles import make_role_groups
from tests.instances.admin_calls import words_of
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db

STATIC = Path(settings.BASE_DIR) / "novita_manager" / "static" / "novita_manager"


def a(role: str) -> Client:
    make_role_groups()
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    return signed_in(user)


def sidebar(client: Client) -> str:
    page = client.get("/admin/instances/event/").content.decode()
    part = page[page.index('id="nav-sidebar-apps"') :]
    without_icons = re.sub(r'<span class="material-symbols-outlined[^>]*>[^<]*</span>', " ", part[: part.index("</nav>")])
    return " ".join(re.sub(r"<[^>]+>", " ", without_icons).split())


def test_every_list_of_the_admin_is_named_in_an_area() -> None:
    named = {way.model.lower() for area in AREAS for way in area.ways if way.model}
    ours = {model._meta.label_lower for model in admin.site._registry}
    assert ours <= named, "name it in AREAS; until then it stands under More"


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_sees_the_fleet_finds_it_and_no_people_or_keys(role: str) -> None:
    client = a(role)
    for shown in (sidebar(client), words_of(client.get("/admin/"))):
        assert "Instances" in shown
        assert "Alarms" in shown
        assert "People" not in shown
        assert "API keys" not in shown
        assert "Kept answers" not in shown


def test_an_admin_finds_everything() -> None:
    shown = sidebar(a("admin"))
    for area in AREAS:
        assert area.title in shown
        for way in area.ways:
            assert way.title in shown


def test_who_may_nothing_is_told_whom_to_ask() -> None:
    shown = words_of(a("nobody").get("/admin/"))
    assert "Nothing here is open to you: ask an administrator for a group." in shown


def test_every_way_leads_somewhere_a_person_may_go() -> None:
    for role in ("viewer", "admin"):
        client = a(role)
        page = client.get("/admin/").content.decode()
        areas = page[page.index('class="areas"') :]
        ways = re.findall(r'<li><a href="([^"]+)"', areas)
        assert len(ways) > 15
        for way in ways:
            assert client.get(way).status_code == 200, way


def test_badges_count_what_waits_and_nothing_else() -> None:
    client = a("viewer")
    assert "Alarms Jobs Events" in sidebar(client)
    now = timezone.now()
    for subject in ("x", "y", "z"):
        raise_alarm("no_metrics", subject, text="t", remedy="r", now=now)
    known = Alarm.objects.get(subject="z")
    acknowledge(known.pk, actor=KEY, reason="known", until=None, now=now)
    instance = running("trainer")
    for age in (timedelta(hours=1), timedelta(days=2)):
        Job.objects.create(
            instance=instance, verb="stop", state="failed", created_at=now - age, finished_at=now, next_attempt_at=now
        )
    pause_automation(until=now + timedelta(hours=1), reason="demo", actor=KEY, now=now)
    shown = sidebar(client)
    assert "Alarms 2 Jobs 1 Events" in shown
    assert "Pause on Policies" in shown


def test_the_sidebar_costs_three_small_reads() -> None:
    client = a("viewer")
    client.get("/admin/")
    with CaptureQueriesContext(connection) as seen:
        client.get("/admin/")
    # The session, the person and two reads of what they may; then alarms, jobs and the pause.
    assert len(seen) == 7


def test_the_admin_has_the_colours_of_the_pages() -> None:
    client = signed_in(person("ann", superuser=True))
    for address in ("/", "/admin/"):
        assert b"novita_manager/colours.css" in client.get(address).content, address
    given = re.compile(r"--[a-z-]+:")
    for file in ("page.css", "admin.css"):
        assert not given.search((STATIC / file).read_text()), file
