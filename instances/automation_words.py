"""What automation may do with an instance from now on, in sentences for the person who takes it into our care."""

from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.utils.module_loading import import_string

from instances.models import Instance
from instances.models.instance import AutoStopMode, LocalData
from instances.words import clock, span


class ToldPolicy(NamedTuple):
    """What is told of a policy of auto-stop. `by` is "" for the default; `metrics_hold`: a busy GPU or CPU holds."""

    by: str
    mode: str
    threshold: timedelta
    metrics_hold: bool
    max_age: timedelta | None
    working_hours: bool


def automation_of(instance: Instance) -> list[str]:
    """One sentence for each kind of act, those that will not happen too."""
    policy: ToldPolicy = import_string(settings.AUTO_STOP_POLICY_TOLD)(instance.auto_stop_policy, instance.labels)
    return [
        _auto_stop(instance, policy),
        *_hard_stops(instance, policy),
        *_stop_at(instance),
        _reclaims(instance),
        _health(instance),
        _protection(instance),
        _outside(),
    ]


def _auto_stop(instance: Instance, policy: ToldPolicy) -> str:
    threshold = span(instance.auto_stop_threshold or policy.threshold)
    by = f" (policy {policy.by})" if policy.by else ""
    if instance.auto_stop_mode == AutoStopMode.OFF:
        return "Auto-stop is off: nothing stops it, however long nobody uses it."
    if policy.mode == "off":
        return f"Auto-stop is off by policy {policy.by}: nothing stops it, however long nobody uses it."
    if instance.auto_stop_mode == AutoStopMode.OBSERVE or policy.mode == "observe":
        return (
            f"Auto-stop only observes: after {threshold} without use{by} it tells that it would stop it, and stops nothing."
        )
    if instance.protected:
        return f"Auto-stop would stop it after {threshold} without use{by}, but it is protected: it is not stopped."
    idle = ", where its GPUs and CPUs are idle too" if policy.metrics_hold else ", however busy its GPUs and CPUs are"
    some = (
        ". That policy tries itself on some of its instances and only observes the others" if policy.mode == "canary" else ""
    )
    return f"Auto-stop stops it after {threshold} without use{by}{idle}{some}."


def _hard_stops(instance: Instance, policy: ToldPolicy) -> list[str]:
    """What stops it whatever it does."""
    if instance.auto_stop_mode != AutoStopMode.ENFORCE or instance.protected or policy.mode not in ("enforce", "canary"):
        return []
    told = []
    if policy.max_age is not None:
        told.append(f"Policy {policy.by} stops it once it has run for {span(policy.max_age)}, whatever it does.")
    if policy.working_hours:
        told.append(f"Policy {policy.by} has working hours: it is stopped, and what it stopped is started, by the clock.")
    return told


def _stop_at(instance: Instance) -> list[str]:
    if instance.stop_at is None or instance.auto_stop_mode != AutoStopMode.ENFORCE:
        return []
    return [f"It is stopped at {clock(instance.stop_at)}."]


def _reclaims(instance: Instance) -> str:
    billing_mode = (instance.machine.billing_mode if instance.machine else "") or instance.billing_mode
    if billing_mode != "spot":
        return "Novita does not take it back: nothing moves it."
    if not settings.MIGRATION_ENABLED:
        return "If Novita takes it back it stays stopped: bringing back is switched off (MIGRATION_ENABLED)."
    if instance.local_data == LocalData.PRECIOUS:
        return (
            "If Novita takes it back it is started again in place, which keeps its disks; moving it to another node loses "
            "its local data, which is precious, and is left to a person."
        )
    after = instance.on_reclaim.get("after", "auto")
    if after == "off":
        return "If Novita takes it back it stays stopped, and a person is asked."
    first = "If Novita takes it back it is brought back: started again in place if possible, which keeps its disks"
    then = {"start": "", "migrate": ", else moved to another node", "replace": ", else replaced by another machine"}
    return f"{first}{then.get(after, ', else moved, or replaced by another machine that is no dearer')}."


def _health(instance: Instance) -> str:
    if instance.health_check is None:
        return "Its health is not checked."
    every = span(max(settings.HEALTH_CHECK_INTERVAL, timedelta(seconds=1)))
    what = "The ports named in its health check are" if instance.health_check else "Its exposed ports are"
    return f"{what} probed every {every}; a failing check is told, and nothing is restarted."


def _protection(instance: Instance) -> str:
    if instance.protected:
        return "It is protected: no rule stops or moves it, and nobody deletes it before the protection is taken off."
    return "No rule ever deletes it."


def _outside() -> str:
    return "What somebody does in Novita's console is taken over as wanted, and is never undone."
