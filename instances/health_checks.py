"""Whether a running instance is well. The one writer of `health_*` and `ready_at`.

Due instances are claimed by conditional UPDATEs that move `health_due_at` ahead, probed by threads that no other work
waits for, and judged when their results are in. The claim is the fence: a result is stored only while `health_due_at` is
still what the claim wrote and the machine is still in the same run.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from instances.lifecycle import HealthState
from instances.models import Instance, Machine
from instances.phases import refresh_phase
from instances.probes import Finished, ProbePool, Result, Target
from instances.set_aside import SetAside

FAILURES_TO_BE_UNHEALTHY = 3
WHILE_CHECKING = timedelta(seconds=5)
LEASE = timedelta(seconds=30)  # longer than a full backlog takes: who claimed and died is followed by another
_JITTER = 0.05
_PORT_TYPES = ("http", "tcp")


# --- pure -----------------------------------------------------------------------------------------------------------
def targets_of(
    health_check: dict[str, Any] | None,
    endpoints: Iterable[dict[str, Any]],
    ports: Iterable[dict[str, Any]] = (),
) -> tuple[Target, ...]:
    """What to probe: nothing for None, every exposed port for {}, else the ports named.

    A port Novita has told no address for is a target without one.
    """
    if health_check is None:
        return ()
    known = {
        int(one["port"]): Target(port=int(one["port"]), type=str(one["type"]).lower(), url=str(one["url"]))
        for one in endpoints
    }
    if not health_check:
        untold = (Target(port=int(one["port"]), type=str(one["type"]).lower(), url="") for one in ports)
        exposed = {one.port: one for one in untold} | known
        return tuple(exposed[port] for port in sorted(exposed) if exposed[port].type in _PORT_TYPES)
    return tuple(_named(kind, health_check[kind], known) for kind in _PORT_TYPES if health_check.get(kind))


def _named(kind: str, check: dict[str, Any], known: dict[int, Target]) -> Target:
    port = int(check["port"])
    url = known[port].url if port in known else ""
    return Target(port=port, type=kind, url=url, path=str(check.get("path") or ""), status=check.get("status"))


def verdict_of(results: Sequence[Result], *, all_must: bool) -> tuple[bool, str]:
    """Whether they pass, one or all of them, and what shows it."""
    good = [one for one in results if one.ok]
    bad = [one for one in results if not one.ok]
    passed = not bad if all_must else bool(good)
    if passed:
        return True, _words(good if all_must else good[:1])
    return False, _words(bad) if all_must or len(bad) == 1 else f"no port answers: {_words(bad)}"


def _words(results: Sequence[Result]) -> str:
    return "; ".join(f"port {one.port} {one.detail}" if one.ok else f"port {one.port}: {one.detail}" for one in results)


def next_health(state: str, failures: int, *, ok: bool, well: bool) -> tuple[HealthState, int]:
    """State and failures in a row after a check; `well` says whether it was ready in this run before.

    Until it was, it goes on being checked. Afterwards three failures in a row make it failing and one success ok.
    """
    if ok:
        return HealthState.OK, 0
    failures += 1
    if well and failures >= FAILURES_TO_BE_UNHEALTHY:
        return HealthState.FAILING, failures
    return HealthState(state) if well else HealthState.CHECKING, failures


def next_due(state: str, *, interval: timedelta, key: UUID, now: datetime) -> datetime:
    """When to check again: soon while it has not passed yet, else after the interval, a little spread by id."""
    if state == HealthState.CHECKING:
        return now + min(WHILE_CHECKING, interval)
    spread = zlib.crc32(key.bytes) / 0xFFFFFFFF  # 0 to 1, the same for an id
    return now + interval * (1 + _JITTER * (2 * spread - 1))


# --- rows -----------------------------------------------------------------------------------------------------------
_BEGIN_COLUMNS = ("health_state", "health_detail", "health_failures", "health_due_at", "ready_at")


def await_endpoints(instance: Instance) -> None:
    """It began to run, and where its ports answer is not read yet: not ready before that. In the caller's transaction."""
    expect_endpoints(instance)
    instance.save(update_fields=[name for name in _BEGIN_COLUMNS if name != "ready_at"])


def expect_endpoints(instance: Instance) -> None:
    """The same in memory, for instances that are not stored yet."""
    instance.health_state, instance.health_failures = HealthState.CHECKING, 0
    instance.health_detail, instance.health_due_at = "its endpoints are being read from Novita", None


def begin_checks(instance: Instance, machine: Machine, *, now: datetime) -> None:
    """Start checking: it began to run, its endpoints became known, or what to check was changed.

    In the caller's transaction, which refreshes the phase afterwards. What is well in this run stays so until checks say
    otherwise. Where nothing is to be checked, running is ready.
    """
    well = _was_well(instance, machine)
    if instance.managed and _targets(instance, machine):
        if not well or instance.health_state == HealthState.NONE:
            instance.health_state, instance.health_failures = HealthState.CHECKING, 0
            instance.health_detail = ""
        instance.health_due_at = now
    else:
        instance.health_state, instance.health_failures = HealthState.NONE, 0
        instance.health_detail, instance.health_due_at = "", None
        if not well:
            instance.ready_at = now
    instance.save(update_fields=_BEGIN_COLUMNS)


def take_proof(instance: Instance, machine: Machine, *, now: datetime) -> None:
    """It was proven ready before it became the instance's machine: ready in this run, and checked on. As `begin_checks`."""
    instance.health_state, instance.health_failures = HealthState.OK, 0
    instance.ready_at = max(now, machine.running_since) if machine.running_since else now
    begin_checks(instance, machine, now=now)


def end_checks(instance: Instance) -> None:
    """Stop checking: it left running. In the caller's transaction. `ready_at` stays, as history."""
    instance.health_state, instance.health_failures = HealthState.NONE, 0
    instance.health_detail, instance.health_due_at = "", None
    instance.save(update_fields=[name for name in _BEGIN_COLUMNS if name != "ready_at"])


def _targets(instance: Instance, machine: Machine) -> tuple[Target, ...]:
    return targets_of(instance.health_check, machine.endpoints, machine.ports or instance.ports)


def _was_well(instance: Instance, machine: Machine) -> bool:
    """Whether it was ready in the run this machine is in."""
    return instance.ready_at is not None and machine.running_since is not None and instance.ready_at >= machine.running_since


# --- the pass -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a probe belongs to: the claim, and the run of the machine it was made for."""

    instance_id: UUID
    machine_id: int
    running_since: datetime | None
    claimed_at: datetime
    due_at: datetime
    all_must: bool


probe_pool: ProbePool[Checked] = ProbePool()


def check_due(now: datetime) -> None:
    """Store the results that came in, then claim and submit what is due. Never waits for a probe."""
    store_finished(probe_pool.finished())
    for claimed, targets in claim_due(now, room=probe_pool.room):
        probe_pool.submit(claimed, targets)


def close() -> None:
    """Let the threads end; what was claimed and not probed falls due again with its lease."""
    probe_pool.close()


def claim_due(now: datetime, *, room: int) -> list[tuple[Checked, tuple[Target, ...]]]:
    """The due checks that are ours now, as many as need at most `room` probes; the last may need more.

    Those that failed least come first, so that many dead endpoints do not keep a new instance waiting.
    """
    due = Instance.objects.filter(health_due_at__lte=now).select_related("machine")
    if not due.exists():
        return []
    claims, aside = [], SetAside("health check", now=now)
    for instance in due.order_by("health_failures", "health_due_at", "pk")[: max(0, room)]:
        if room <= 0 or instance.machine is None:
            continue
        with aside.around(instance):
            targets = _targets(instance, instance.machine)
            claims.append((instance, instance.machine, targets))
            room -= len(targets)
    # In the order of ids: two workers that lock the same rows cannot wait for each other.
    claims.sort(key=lambda one: one[0].pk)
    with transaction.atomic():
        ours = [(instance, machine, targets) for instance, machine, targets in claims if _claim(instance, now + LEASE)]
        for instance, _, targets in ours:
            if not targets:
                _begin_again(instance.pk, now)
    return [(_checked(instance, machine, now), targets) for instance, machine, targets in ours if targets]


def _checked(instance: Instance, machine: Machine, now: datetime) -> Checked:
    return Checked(
        instance_id=instance.pk,
        machine_id=machine.pk,
        running_since=machine.running_since,
        claimed_at=now,
        due_at=now + LEASE,
        all_must=bool(instance.health_check),
    )


def _begin_again(instance_id: UUID, now: datetime) -> None:
    """Nothing is left to check, as after a change of what to check: then running is ready."""
    instance = Instance.objects.select_for_update(of=("self",)).select_related("machine").get(pk=instance_id)
    if instance.machine is not None:
        begin_checks(instance, instance.machine, now=now)
        refresh_phase(instance, now=now)


def _claim(instance: Instance, until: datetime) -> bool:
    won = Instance.objects.filter(pk=instance.pk, health_due_at=instance.health_due_at).update(health_due_at=until)
    return bool(won)


def store_finished(finished: Iterable[Finished[Checked]]) -> None:
    """Judge and store results, each in a transaction of its own."""
    for one in finished:
        with transaction.atomic():
            _store(one.key, one.results, at=one.key.claimed_at + timedelta(seconds=one.seconds))


def _store(checked: Checked, results: Sequence[Result], *, at: datetime) -> None:
    instance = (
        Instance.objects.select_for_update(of=("self",))
        .select_related("machine")
        .filter(
            pk=checked.instance_id,
            health_due_at=checked.due_at,
            machine_id=checked.machine_id,
            machine__running_since=checked.running_since,
        )
        .first()
    )
    if instance is None or instance.machine is None:
        return
    well = _was_well(instance, instance.machine)
    ok, detail = verdict_of(results, all_must=checked.all_must)
    state, failures = next_health(instance.health_state, instance.health_failures, ok=ok, well=well)
    if well and not ok and state != HealthState.FAILING:
        detail = f"{detail} (failure {failures} of {FAILURES_TO_BE_UNHEALTHY})"
    before = (instance.health_state, instance.health_detail, instance.ready_at)
    instance.health_state, instance.health_failures, instance.health_detail = state, failures, detail[:500]
    instance.health_checked_at = at
    instance.health_due_at = next_due(state, interval=settings.HEALTH_CHECK_INTERVAL, key=instance.pk, now=at)
    if ok and not well:
        # Where clocks differ between workers, still not before the run it belongs to.
        instance.ready_at = max(at, checked.running_since) if checked.running_since else at
    instance.save(update_fields=[*_BEGIN_COLUMNS, "health_checked_at"])
    if (instance.health_state, instance.health_detail, instance.ready_at) != before:
        refresh_phase(instance, now=at)
