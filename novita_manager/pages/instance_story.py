"""One instance as its page shows it: what it is, why, what may be asked of it, and its story.

Nothing in it moves with the clock, so that two equal values make the same page, and nothing in it is secret.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch

from instances.api.representations import on_reclaim_json
from instances.api.times import duration_text
from instances.api.ways_in import ways_in
from instances.lifecycle import OPEN_STATES
from instances.models import Alarm, Instance, Job, Machine
from instances.reclaims import open_reclaim, story_of
from instances.words import usd, usd_per_hour
from novita_manager.pages.fleet_snapshot import Notice, Row, notices, read_row
from novita_manager.pages.job_lines import JobLine, job_lines
from novita_manager.pages.keeping import Keeping, keeping_of
from novita_manager.pages.story_lines import StoryPage, story_page
from novita_manager.pages.verb_panel import VerbChoice, verb_choices
from novita_manager.pages.why import Why, why_of

_HEALTH_WORDS = {"ok": "passes", "failing": "fails", "checking": "is being checked", "none": "is not checked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLine:
    name: str
    current: bool
    status: str
    error: str
    region: str
    product: str
    price: str
    cost: str
    running_since: datetime | None
    surplus: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The ways in, without what opens them. `hidden`: something is there to be revealed."""

    endpoints: tuple[tuple[str, str], ...]
    ssh_command: str
    jupyter: bool
    web_terminal: bool
    env_names: tuple[str, ...]
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStory:
    row: Row
    why: Why
    health: str
    health_detail: str
    image: str
    doors: Doors
    verbs: tuple[VerbChoice, ...]
    keeping: Keeping | None
    settings: tuple[tuple[str, str], ...]
    may_be_set: bool
    may_operate: bool
    may_reveal: bool
    purged_at: datetime | None
    reclaim: str
    alarms: tuple[Notice, ...]
    jobs: tuple[JobLine, ...]
    machines: tuple[MachineLine, ...]
    story: StoryPage


def read_story(instance_id: UUID, now: datetime, *, scopes: frozenset[str]) -> InstanceStory:
    """For a person with these scopes. Raises Instance.DoesNotExist."""
    machines = Prefetch("machines", queryset=Machine.objects.defer("connection"))
    open_jobs = Prefetch("jobs", queryset=Job.objects.filter(state__in=OPEN_STATES), to_attr="open_jobs")
    instance = Instance.objects.select_related("machine").prefetch_related(machines, open_jobs).get(pk=instance_id)
    machine = instance.machine
    return InstanceStory(
        row=read_row(instance_id, now, may_act="operate" in scopes),
        why=why_of(instance, now=now),
        health=_HEALTH_WORDS.get(instance.health_state, instance.health_state),
        health_detail=instance.health_detail,
        image=(machine.image_url if machine else "") or instance.image_url,
        doors=_doors(instance),
        verbs=verb_choices(instance, scopes),
        keeping=keeping_of(instance, now, scopes=scopes),
        settings=_settings(instance),
        may_be_set=instance.managed and not instance.has_ended and "operate" in scopes,
        may_operate="operate" in scopes,
        may_reveal="secrets" in scopes,
        purged_at=machine.data_purged_at if machine and instance.phase == "stopped" else None,
        reclaim=_reclaim(instance),
        alarms=notices(Alarm.objects.filter(instance=instance), now),
        jobs=job_lines(instance, scopes),
        machines=tuple(_machine_line(one, instance, now) for one in instance.machines.all()),
        story=story_page(instance_id),
    )


def _reclaim(instance: Instance) -> str:
    opened = open_reclaim(instance)
    return story_of(opened) if opened else ""


def _doors(instance: Instance) -> Doors:
    shown: dict[str, Any] = ways_in(instance, secrets=False)
    ssh = shown["ssh"] or {}
    names = tuple(str(one["key"]) for one in shown["envs"])
    return Doors(
        endpoints=tuple((f"{one.get('port')}/{one.get('type')}", str(one.get("url", ""))) for one in shown["endpoints"]),
        ssh_command=str(ssh.get("command") or ""),
        jupyter=bool(shown["jupyter"]),
        web_terminal=bool(shown["web_terminal"]),
        env_names=names,
        hidden=bool(ssh or shown["jupyter"] or shown["web_terminal"] or names),
    )


def _settings(instance: Instance) -> tuple[tuple[str, str], ...]:
    threshold, cap = instance.auto_stop_threshold, instance.max_price_usd_per_hour
    idle = f"after {duration_text(threshold) if threshold else 'the default'} idle"
    return (
        ("Auto-stop", instance.auto_stop_mode if instance.auto_stop_mode == "off" else f"{instance.auto_stop_mode}, {idle}"),
        ("Stop at", f"{instance.stop_at:%Y-%m-%d %H:%M} UTC" if instance.stop_at else "no fixed time"),
        ("Protected", "yes" if instance.protected else "no"),
        ("Local data", instance.local_data),
        ("When Novita takes it back", _on_reclaim_words(instance)),
        ("Health check", health_check_words(instance.health_check)),
        ("Start-up too long", {"stop": "stop it"}.get(instance.on_startup_timeout, instance.on_startup_timeout)),
        ("Price cap", f"{usd_per_hour(cap)} per hour" if cap else "none"),
        ("Falls back to on-demand", "yes" if instance.fallback_to_on_demand else "no"),
        ("Labels", ", ".join(f"{name}={text}" for name, text in instance.labels.items()) or "none"),
    )


def _on_reclaim_words(instance: Instance) -> str:
    shown = on_reclaim_json(instance)
    words = [f"{shown['on_notice']} on notice", {"auto": "by its local data"}.get(shown["after"], shown["after"])]
    return ", then ".join(words) + (f", its image saved as {shown['save_image']}" if shown["save_image"] else "")


def health_check_words(check: dict[str, Any] | None) -> str:
    if check is None:
        return "none"
    parts = [f"{kind} on port {one.get('port')}" for kind, one in check.items() if one]
    return " and ".join(parts) or "any exposed port"


def _machine_line(machine: Machine, instance: Instance, now: datetime) -> MachineLine:
    return MachineLine(
        name=str(machine),
        current=machine.pk == instance.machine_id,
        status="gone" if machine.absent_at else machine.status or "not seen yet",
        error=machine.status_error,
        region=machine.region,
        product=machine.product_name,
        price=usd_per_hour(machine.hourly_usd),
        cost=usd(machine.cost_usd(now)),
        running_since=machine.running_since,
        surplus=machine.surplus_since is not None,
    )
