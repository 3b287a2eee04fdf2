"""The ways through the admin, by what people do. Each shows what a person may see, with what waits for somebody."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from instances.lifecycle import JobState
from instances.models import Alarm, AutomationPause, Job

_RECENTLY = timedelta(days=1)
_OURS = ("instances", "autostop", "sync", "novita_manager")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A list of rows of `model`, such as `instances.Job`, or the page `page` names. `waits` names what its badge counts."""

    title: str
    icon: str
    about: str
    model: str = ""
    page: str = ""
    waits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    title: str
    ways: tuple[Way, ...]
    folded: bool = False


AREAS = (
    Area(
        title="Fleet",
        ways=(
            Way(title="Fleet page", icon="dashboard", page="fleet", about="What burns money, what stops next and why."),
            Way(
                title="Instances", icon="dns", model="instances.Instance", about="Look up, set, start, stop, adopt, delete."
            ),
            Way(title="Machines", icon="memory", model="instances.Machine", about="What Novita reports of each."),
            Way(
                title="Billed times",
                icon="paid",
                model="instances.RunningInterval",
                about="When which was billed, at what price.",
            ),
        ),
    ),
    Area(
        title="Work",
        ways=(
            Way(title="Alarms", icon="notifications", model="instances.Alarm", waits="alarms", about="What needs a person."),
            Way(
                title="Jobs",
                icon="task_alt",
                model="instances.Job",
                waits="failed",
                about="What Novita was asked, and the outcome.",
            ),
            Way(title="Events", icon="history", model="instances.Event", about="Who changed what, when and why."),
            Way(title="Webhooks", icon="webhook", model="instances.WebhookEndpoint", about="Who is told, and how it fares."),
            Way(title="Deliveries", icon="outgoing_mail", model="instances.Delivery", about="Each telling, try by try."),
        ),
    ),
    Area(
        title="Automation",
        ways=(
            Way(
                title="Pause",
                icon="pause_circle",
                model="instances.AutomationPause",
                waits="paused",
                about="One switch for every rule.",
            ),
            Way(
                title="Policies",
                icon="rule",
                model="autostop.Policy",
                about="Who may be stopped when, and by which signals.",
            ),
            Way(
                title="Verdicts now",
                icon="psychology",
                model="autostop.Evaluation",
                about="What auto-stop thinks of each instance.",
            ),
            Way(
                title="Decisions",
                icon="gavel",
                model="autostop.RecordedDecision",
                about="What it did, and when it changed its mind.",
            ),
            Way(title="Passes", icon="event_repeat", model="autostop.PassRun", about="Each pass over the fleet."),
            Way(
                title="Reclaims",
                icon="undo",
                model="instances.Reclaim",
                about="What Novita took back, and what came of it.",
            ),
        ),
    ),
    Area(
        title="Novita",
        ways=(
            Way(
                title="Account",
                icon="account_balance_wallet",
                model="instances.ProviderAccount",
                about="Balance, and how old what we know is.",
            ),
            Way(
                title="Comparisons", icon="sync", model="sync.SyncRun", about="What differed from Novita, and what was done."
            ),
            Way(title="Offers", icon="sell", model="instances.Offer", about="Products, prices and stock."),
            Way(title="Clusters", icon="location_on", model="instances.Cluster", about="Where they are."),
            Way(title="Templates", icon="deployed_code", model="instances.Template", about="Images that can be started."),
            Way(
                title="Network storages",
                icon="hard_drive",
                model="instances.NetworkStorage",
                about="Disks that outlive machines.",
            ),
        ),
    ),
    Area(
        title="Access",
        ways=(
            Way(title="People", icon="person", model="auth.User", about="Who may sign in."),
            Way(title="Groups", icon="groups", model="auth.Group", about="What they may do."),
            Way(title="API keys", icon="key", model="novita_manager.ApiKey", about="What programs may do."),
            Way(
                title="Sign-ins refused",
                icon="lock_clock",
                model="axes.AccessAttempt",
                about="Wrong passwords, and who waits.",
            ),
        ),
    ),
    Area(
        title="Machinery",
        folded=True,
        ways=(
            Way(
                title="Timetable",
                icon="schedule",
                model="instances.PeriodicWork",
                about="What is due when, and who does it.",
            ),
            Way(title="Pace", icon="speed", model="instances.ProviderPace", about="How fast Novita may be asked."),
            Way(
                title="Breakers",
                icon="electrical_services",
                model="instances.ProviderBreaker",
                about="Kinds of calls that rest.",
            ),
            Way(
                title="Kept answers",
                icon="replay",
                model="novita_manager.IdempotencyRecord",
                about="For requests that come again.",
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a badge says: how much of what, and how bad it is."""

    text: str
    title: str
    tone: str = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A way as one person sees it."""

    way: Way
    address: str
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownArea:
    title: str
    ways: tuple[Shown, ...] = field(default=())
    folded: bool = False


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar, as the theme reads it."""
    return [
        {
            "title": area.title,
            "collapsible": area.folded,
            "items": [_item(one) for one in area.ways],
        }
        for area in areas_of(request)
    ]


def _item(shown: Shown) -> dict[str, Any]:
    item: dict[str, Any] = {"title": shown.way.title, "icon": shown.way.icon, "link": shown.address}
    if shown.way.page:
        item["active"] = False  # it is no page of the admin, and its address begins every other
    if shown.waiting is not None:
        item |= {
            "badge": shown.waiting.text,
            "badge_tone": shown.waiting.tone,
            "badge_title": shown.waiting.title,
        }
    return item


def with_areas(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The first page of the admin: the same areas, each way with what it is for."""
    return {**context, "areas": areas_of(request)}


def areas_of(request: HttpRequest) -> list[ShownArea]:
    """What a person may see; read once per request."""
    known: list[ShownArea] | None = getattr(request, "admin_areas", None)
    if known is None:
        waiting = _waiting(request)
        shown = (
            ShownArea(title=area.title, folded=area.folded, ways=tuple(_shown(request, area.ways, waiting)))
            for area in (*AREAS, Area(title="More", ways=_unnamed()))
        )
        known = [area for area in shown if area.ways]
        request.admin_areas = known  # type: ignore[attr-defined]
    return known


def _shown(request: HttpRequest, ways: tuple[Way, ...], waiting: dict[str, Waiting]) -> Iterator[Shown]:
    for way in ways:
        if way.page:
            if request.user.has_perm("instances.view_instance"):
                yield Shown(way=way, address=reverse(way.page))
            continue
        model = apps.get_model(way.model)
        if model in admin.site._registry and _may_see(request, model):
            address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            yield Shown(way=way, address=address, waiting=waiting.get(way.waits))


def _may_see(request: HttpRequest, model: type[Model]) -> bool:
    return bool(admin.site._registry[model].has_view_permission(request))


def _unnamed() -> tuple[Way, ...]:
    """Lists that no area names yet, so that nothing is out of reach."""
    named = {way.model.lower() for area in AREAS for way in area.ways}
    return tuple(
        Way(title=str(model._meta.verbose_name_plural).capitalize(), icon="list", about="", model=model._meta.label)
        for model in admin.site._registry
        if model._meta.app_label in _OURS and model._meta.label_lower not in named
    )


def _waiting(request: HttpRequest) -> dict[str, Waiting]:
    """Three small reads; what a person may not see is not read."""
    waiting = {}
    now = timezone.now()
    if request.user.has_perm("instances.view_alarm"):
        alarms = Alarm.objects.filter(cleared_at=None, acknowledged_by="").count()
        if alarms:
            waiting["alarms"] = Waiting(text=str(alarms), title="open, acknowledged by nobody")
    if request.user.has_perm("instances.view_job"):
        failed = Job.objects.filter(state=JobState.FAILED, created_at__gte=now - _RECENTLY).count()
        if failed:
            waiting["failed"] = Waiting(text=str(failed), title="failed within a day")
    if request.user.has_perm("instances.view_automationpause"):
        pause = AutomationPause.objects.filter(pk=1).first()
        if pause is not None and pause.holds(now):
            waiting["paused"] = Waiting(text="on", title="automation is paused", tone="warn")
    return waiting
