"""The values a reclaim is decided by, read from the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime

from instances.lifecycle import HealthState, Observed, Verb
from instances.models import Instance, Machine, Reclaim
from instances.phases import current_job
from instances.reclaims import ran_since
from instances.spot import Sign, sign_of_machine
from sync.reclaim_decision import ReclaimFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a pass knows of all of them. `provider_jobs`: the kind of each running job of Novita's by id, None: not read."""

    now: datetime
    held: str
    destruction_held: str
    provider_jobs: Mapping[str, str] | None


_ENDING = (Observed.EXITED, Observed.REMOVING)
_UNREADY = ("not_ready", "start_up_failed")
_MOVES = (Verb.MIGRATE, Verb.REPLACE, Verb.CREATE)


def facts_of(instance: Instance, opened: Reclaim | None, scene: Scene) -> ReclaimFacts:
    machine = instance.machine
    sign = sign_of_machine(machine) if machine else Sign.NONE
    handled = opened is None and _is_handled(machine)
    unrecorded = opened is None and sign is not Sign.NONE and not handled and instance.managed  # a record is opened next
    job = current_job(instance)
    policy: dict[str, Any] = instance.on_reclaim
    tries = opened.tries if opened else []
    return ReclaimFacts(
        now=scene.now,
        wanted=instance.wanted,
        observed=instance.observed,
        sign=sign,
        open=opened is not None or unrecorded,
        handled=handled,
        managed=instance.managed,
        seen_at=opened.seen_at if opened else None,
        notified_at=opened.notified_at if opened else None,
        taken_at=opened.taken_at if opened else _taken_at(machine, sign),
        reclaim_at=opened.reclaim_at if opened else machine.reclaim_at if machine else None,
        protected=instance.protected,
        precious=instance.local_data == "precious",
        on_notice=policy.get("on_notice", "wait"),
        after=policy.get("after", "auto"),
        save_image=bool(policy.get("save_image")),
        made_here=machine is not None and machine.correlation_id is not None,
        enabled=settings.MIGRATION_ENABLED,
        held=scene.held or _doubted(machine),
        destruction_held=scene.destruction_held,
        job_open=job.verb if job else "",
        provider_job=_provider_job(machine, scene),
        surplus=_has_second(instance),
        ran=opened is not None and ran_since(opened),
        same_machine=opened is None or opened.machine_id == instance.machine_id,
        tries=tuple(one["verb"] for one in tries),
        unready=sum(1 for one in tries if one["verb"] == Verb.REPLACE and one["outcome"] in _UNREADY),
        last_ended_at=_last_end(tries),
        moved_at=_moved_at(instance),
        cool_down=settings.MIGRATION_COOL_DOWN,
        well=_is_well(instance),
        overdue=bool(instance.overdue),
        purged_at=machine.data_purged_at if machine else None,
    )


def _is_handled(machine: Machine | None) -> bool:
    at = machine.reclaim_at if machine else None
    return machine is not None and at is not None and machine.reclaims.filter(reclaim_at=at).exists()


def _taken_at(machine: Machine | None, sign: Sign) -> datetime | None:
    return machine.status_since if machine and sign is Sign.TAKEN else None


def _doubted(machine: Machine | None) -> str:
    return "Novita's lists lack it and are not believed yet" if machine and machine.unverified_since else ""


def _provider_job(machine: Machine | None, scene: Scene) -> str | None:
    if scene.provider_jobs is None:
        return None
    return scene.provider_jobs.get(machine.novita_id or "", "") if machine else ""


def _has_second(instance: Instance) -> bool:
    """Whether another machine of its lives and may run: not one that stopped, nor one let go that is billed no more."""
    others = Machine.objects.known().filter(instance=instance, current_of=None).defer("connection")
    return any(one.observed not in _ENDING if one.let_go_at else one.observed is not Observed.EXITED for one in others)


def _last_end(tries: list[dict[str, Any]]) -> datetime | None:
    ends = [parse_datetime(one["ended_at"]) for one in tries if one["ended_at"]]
    return ends[-1] if ends else None


def _moved_at(instance: Instance) -> datetime | None:
    """When a reclaim before this one moved it or made it anew."""
    for one in Reclaim.objects.filter(instance=instance, outcome="back").order_by("-id")[:5]:
        if any(tried["verb"] in _MOVES for tried in one.tries):
            return one.back_at
    return None


def _is_well(instance: Instance) -> bool:
    if instance.observed is not Observed.RUNNING or not instance.well_since_running:
        return False
    return instance.health_state in (HealthState.OK, HealthState.NONE)
