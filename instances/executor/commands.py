"""Commands on a machine that exists: one call, its intent committed first."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from instances.events import AUTO_STOP, SYSTEM, record
from instances.executor import outcomes
from instances.executor.claims import lease, may_call, store
from instances.executor.steps import HELD_LOOK, Act, Step
from instances.failpoints import reach
from instances.lifecycle import JobState, Verb
from instances.models import Instance, Job
from instances.models.instance import AutoStopMode
from instances.novita.client import Novita
from instances.novita.errors import InvalidState, NovitaError
from instances.operations.automation import destruction_hold_reason, hold_reason
from instances.operations.jobs import PORTS_BEFORE
from instances.operations.wishes import locked_instance
from instances.phases import refresh_phase
from instances.reclaims import is_taken
from instances.stakes import kept_reason
from instances.words import clock

HELD_UP = timedelta(minutes=1)  # far longer than it takes from asking to sending where nothing stands in the way


def call_command(job: Job, instance: Instance, client: Novita) -> bool:
    """Ask Novita once. True where its answer calls for a read by id before anything is judged."""
    novita_id = instance.machine.novita_id if instance.machine else None
    if novita_id is None:
        raise ValueError(f"job {job.pk} has no machine to {job.verb}")
    reach(f"{job.verb}.before_intent")
    if not _mark_sent(job, instance):
        return False
    reach(f"{job.verb}.after_intent")
    reach(f"{job.verb}.before_call")
    if not may_call(job):
        return False
    try:
        provider_job_id = _CALLS[Verb(job.verb)](client, novita_id, job.arguments)
    except NovitaError as error:
        reach(f"{job.verb}.after_call")
        outcomes.failed_call(job, error, now=timezone.now())
        return isinstance(error, InvalidState)
    reach(f"{job.verb}.after_call")
    outcomes.accepted(job, now=timezone.now(), provider_job_id=provider_job_id)
    reach(f"{job.verb}.after_store")
    return False


def _mark_sent(job: Job, instance: Instance) -> bool:
    now = timezone.now()
    with transaction.atomic():
        fresh = locked_instance(instance.pk)
        kept = _kept_from(job, fresh, now)
        if kept:
            outcomes.cancel_kept(job, fresh, kept, now)
            return False
        held = _held(job, now)
        if held:
            outcomes.wait(job, Step(act=Act.WAIT, reason=held, at=now + HELD_LOOK), now=now)
            return False
        job.refresh_from_db(fields=["arguments"])
        arguments = dict(job.arguments)
        if job.verb == Verb.EDIT and "expand_rootfs_gb" in arguments and fresh.machine:
            # What the disk must measure once it is done: the call itself only names the growth.
            arguments.setdefault("rootfs_size_gb", fresh.machine.rootfs_size_gb + arguments["expand_rootfs_gb"])
            if fresh.machine.rootfs_size_gb >= arguments["rootfs_size_gb"]:
                del arguments["expand_rootfs_gb"]  # an earlier call brought it about: the rest of the edit remains
        if "ports" in arguments and fresh.machine:
            arguments.setdefault(PORTS_BEFORE, fresh.machine.ports)  # what must go: the call itself only names what stays
        if not store(
            job,
            state=JobState.SENT,
            **lease(),
            called_at=job.called_at or now,
            call_ended_at=None,
            attempts=job.attempts + 1,
            arguments=arguments,
        ):
            return False
        record(f"job.{job.verb}_sent", at=now, actor=SYSTEM, instance=fresh, job=job, after={"attempt": job.attempts})
        refresh_phase(fresh, now=now)
        return True


def _kept_from(job: Job, instance: Instance, now: datetime) -> str:
    """A rule may start a protected one, which changes nothing of it, and nothing else.

    It moves neither what loses precious data nor what came back meanwhile, and stops nothing that was kept meanwhile.
    """
    if _moves_for_a_rule(job):
        is_over = "reclaim" in job.arguments and not is_taken(instance)
        return kept_reason(instance) or ("Novita does not show it taken back any more" if is_over else "")
    if job.requested_by_kind != "rule" or job.was_called or job.verb == Verb.START or job.is_about_own_moves:
        return ""
    if instance.protected:
        return kept_reason(instance)
    if job.verb != Verb.STOP:
        return ""
    if instance.keep_until is not None and instance.keep_until > now:
        return f"it is kept until {clock(instance.keep_until)}"
    return _awake_since(job, instance, now) if job.requested_by_name == AUTO_STOP.name else ""


def _awake_since(job: Job, instance: Instance, now: datetime) -> str:
    """What auto-stop would no longer decide, where its job waited: for Novita, its key, or the machine to come up."""
    if instance.auto_stop_mode == AutoStopMode.OFF:
        return "auto-stop is off for it"
    # A stop by the clock is asked for again at the next pass, whatever uses it: only one that was held up yields to a use.
    was_held_up = now - job.created_at > HELD_UP
    if was_held_up and instance.last_used_at is not None and instance.last_used_at > job.created_at:
        return f"it was used at {clock(instance.last_used_at)}, after the stop was asked for"
    return ""


def _held(job: Job, now: datetime) -> str:
    """What held the rule when it asked holds it again before Novita is asked."""
    if _moves_for_a_rule(job):
        return destruction_hold_reason(now)
    return hold_reason(now) if job.requested_by_kind == "rule" and not job.was_called else ""


def _moves_for_a_rule(job: Job) -> bool:
    """A move loses the disks."""
    return job.verb == Verb.MIGRATE and job.is_by_rule and not job.was_called


def _edit(client: Novita, novita_id: str, arguments: dict[str, Any]) -> str:
    if "auto_migrate" in arguments:
        client.set_auto_migrate(novita_id, enabled=arguments["auto_migrate"], include_system_disk=False)
        return ""
    ports = arguments.get("ports")
    client.edit_instance(
        novita_id,
        ports=None if ports is None else [(one["port"], one["type"]) for one in ports],
        expand_root_disk_gb=arguments.get("expand_rootfs_gb", 0),
    )
    return ""


def _save_image(client: Novita, novita_id: str, arguments: dict[str, Any]) -> str:
    return client.save_image(novita_id, arguments["image"], arguments.get("registry_auth_id", ""))


def _plain(method: Callable[[Novita, str], None]) -> Callable[[Novita, str, dict[str, Any]], str]:
    def call(client: Novita, novita_id: str, arguments: dict[str, Any]) -> str:
        method(client, novita_id)
        return ""

    return call


_CALLS: dict[Verb, Callable[[Novita, str, dict[str, Any]], str]] = {
    Verb.START: _plain(Novita.start_instance),
    Verb.STOP: _plain(Novita.stop_instance),
    Verb.RESTART: _plain(Novita.restart_instance),
    Verb.DELETE: _plain(Novita.delete_instance),
    Verb.EDIT: _edit,
    Verb.SAVE_IMAGE: _save_image,
    Verb.MIGRATE: lambda client, novita_id, arguments: client.migrate_instance(novita_id),
}
