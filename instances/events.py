"""Events: the timeline, the audit log and the source of messages. Written in the transaction of the change they tell."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Required, TypedDict, Unpack

from instances.models import Event, Instance, Job
from instances.webhooks.kinds import telling_of

# Set by whatever took the request: an HTTP call, a command, a pass.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it, by value: `kind` is key, user, rule, command, system or outside."""

    kind: str
    name: str = ""


SYSTEM = Actor(kind="system", name="novita-manager")
AUTO_STOP = Actor(kind="rule", name="auto-stop")
OUTSIDE = Actor(kind="outside", name="Novita")


class EventFields(TypedDict, total=False):
    """`before` and `after` hold the changed values by name, never a secret."""

    at: Required[datetime]
    actor: Required[Actor]
    instance: Instance | None
    job: Job | None
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str


def record(type_: str, **fields: Unpack[EventFields]) -> Event:
    """Append one event."""
    event = event_of(type_, **fields)
    event.save(force_insert=True)
    return event


def event_of(type_: str, **fields: Unpack[EventFields]) -> Event:
    """One event that is not stored yet: for many at once."""
    actor, job = fields["actor"], fields.get("job")
    return Event(
        type=type_,
        at=fields["at"],
        instance=fields.get("instance"),
        job=job,
        actor_kind=actor.kind,
        actor_name=actor.name[:255],
        request_id=fields.get("request_id") or current_request_id.get() or (job.request_id if job else ""),
        reason=fields.get("reason", "")[:1000],
        before=fields.get("before") or {},
        after=fields.get("after") or {},
        told=not telling_of(type_).is_told,
    )
