"""Ports, image and disk that somebody changed at Novita: taken over as what is wanted, one event each, nothing sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from instances.events import OUTSIDE, record
from instances.lifecycle import Observed, Verb
from instances.models import Instance, Machine

SETTINGS = {"ports": "ports", "image_url": "image", "rootfs_size_gb": "root disk"}  # column, and in words

Changes = dict[str, tuple[Any, Any]]


def outside_changes(machine: Machine, differing: Mapping[str, Any]) -> Changes:
    """Before and after of what a read shows changed, of one that had come up before; nothing is stored yet."""
    if machine.running_since is None and machine.observed is not Observed.EXITED:
        return {}  # what a machine is made with becomes known bit by bit
    found = {name: (getattr(machine, name), differing[name]) for name in SETTINGS if name in differing}
    return {name: (old, new) for name, (old, new) in found.items() if name == "ports" or (old and new)}


def take_over_settings(instance: Instance, changes: Changes, *, began_at: datetime, now: datetime) -> None:
    """In the transaction of the observation. What we asked for ourselves, and what is as wanted, is no news."""
    if not instance.managed or _edited_by_us(instance, began_at):
        return
    for name, (old, new) in changes.items():
        if _is_wanted(instance, name, new):
            continue
        setattr(instance, name, new)
        instance.save(update_fields=[name])
        record(
            "instance.changed_outside",
            at=now,
            actor=OUTSIDE,
            instance=instance,
            reason=f"its {SETTINGS[name]} changed at Novita with no job of ours: taken over",
            before={name: old},
            after={name: new},
        )


def _edited_by_us(instance: Instance, began_at: datetime) -> bool:
    job = instance.jobs.filter(verb=Verb.EDIT).exclude(called_at=None).order_by("-called_at").first()
    if job is None:
        return False
    return job.is_open or job.call_ended_at is None or began_at < job.call_ended_at + settings.SETTLE_PERIOD


def _is_wanted(instance: Instance, name: str, shown: Any) -> bool:
    if name != "ports":
        return bool(getattr(instance, name) == shown)
    asked = {(one["port"], one["type"]) for one in instance.ports}
    tools = {(one["port"], one["type"]) for one in instance.tools}
    return {(one["port"], one["type"]) for one in shown} in (asked, asked | tools)
