"""One instance as its page shows it: its facts, its jobs and its story, without anything that moves with the clock."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch

from instances.api.times import duration_text
from instances.models import Alarm, Instance, Job, Machine
from instances.story import who
from instances.words import usd, usd_per_hour
from novita_manager.pages.fleet_snapshot import Line, Notice, Row, line_of, notices, read_row

MOST_EVENTS = 200
MOST_JOBS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    id: UUID
    verb: str
    state: str
    tone: str
    who: str
    reason: str
    attempts: int
    error: str
    note: str
    created_at: datetime
    finished_at: datetime | None


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
    absent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStory:
    row: Row
    wish: str
    wish_at: datetime | None
    endpoints: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    alarms: tuple[Notice, ...]
    jobs: tuple[JobLine, ...]
    machines: tuple[MachineLine, ...]
    lines: tuple[Line, ...]


_JOB_TONES = {"succeeded": "good", "failed": "bad", "cancelled": "still", "superseded": "still"}


def read_story(instance_id: UUID, now: datetime, *, may_act: bool) -> InstanceStory:
    """Raises Instance.DoesNotExist."""
    machines = Prefetch("machines", queryset=Machine.objects.defer("connection"))
    instance = Instance.objects.defer("envs").prefetch_related(machines).get(pk=instance_id)
    return InstanceStory(
        row=read_row(instance_id, now, may_act=may_act),
        wish=_wish(instance),
        wish_at=instance.wanted_at,
        endpoints=_endpoints(instance),
        settings=_settings(instance),
        alarms=notices(Alarm.objects.filter(instance=instance)),
        jobs=tuple(map(_job_line, instance.jobs.all()[:MOST_JOBS])),
        machines=tuple(_machine_line(one, instance, now) for one in instance.machines.all()),
        lines=tuple(map(line_of, instance.events.all()[:MOST_EVENTS])),
    )


def _wish(instance: Instance) -> str:
    if not instance.wanted:
        return "nothing: it was not made here" if not instance.managed else "nothing"
    by = who(instance.wanted_by_kind, instance.wanted_by_name)
    why = f": {instance.wanted_reason}" if instance.wanted_reason else ""
    return f"{instance.wanted}, by {by}{why}"


def _endpoints(instance: Instance) -> tuple[str, ...]:
    current = next((one for one in instance.machines.all() if one.pk == instance.machine_id), None)
    return tuple(str(one.get("url", "")) for one in current.endpoints) if current else ()


def _settings(instance: Instance) -> tuple[tuple[str, str], ...]:
    threshold = instance.auto_stop_threshold
    cap = instance.max_price_usd_per_hour
    return (
        ("Auto-stop", f"{instance.auto_stop_mode}, after {duration_text(threshold) if threshold else 'the default'} idle"),
        ("Stop at", f"{instance.stop_at:%Y-%m-%d %H:%M} UTC" if instance.stop_at else "no fixed time"),
        ("Protected", "yes" if instance.protected else "no"),
        ("Local data", instance.local_data),
        ("Price cap", f"{usd_per_hour(cap)} per hour" if cap else "none"),
        ("Falls back to on-demand", "yes" if instance.fallback_to_on_demand else "no"),
        ("Start-up too long", instance.on_startup_timeout),
        ("Image", instance.image_url or "none"),
        ("Ports", ", ".join(f"{one.get('port')}/{one.get('type')}" for one in instance.ports) or "none"),
        ("Labels", ", ".join(f"{name}={text}" for name, text in instance.labels.items()) or "none"),
    )


def _job_line(job: Job) -> JobLine:
    return JobLine(
        id=job.pk,
        verb=job.verb.replace("_", " "),
        state=job.state,
        tone=_JOB_TONES.get(job.state, "moving"),
        who=who(job.requested_by_kind, job.requested_by_name),
        reason=job.reason,
        attempts=job.attempts,
        error=": ".join(part for part in (job.error_code, job.error_detail) if part) if job.error_code else "",
        note=job.error_detail,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )


def _machine_line(machine: Machine, instance: Instance, now: datetime) -> MachineLine:
    return MachineLine(
        name=str(machine),
        current=machine.pk == instance.machine_id,
        status="gone" if machine.absent_at else machine.status or "not seen yet",
        error=machine.status_error,
        region=machine.region,
        product=machine.product_name,
        price=usd_per_hour(machine.price_usd_per_hour),
        cost=usd(machine.cost_usd(now)),
        running_since=machine.running_since,
        absent_at=machine.absent_at,
    )
