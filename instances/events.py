"""Events: the timeline, the audit log and the source of messages. Written in the transaction of the change they tell."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
OUTSIDE = Actor(kind="outside", name="Novita")


def record(
    type_: str,
    *,
    at: datetime,
    actor: Actor,
    instance: Instance | None = None,
    job: Job | None = None,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    request_id: str = "",
) -> Event:
    """Append one event. `before` and `after` hold the changed values by name, never a secret."""
    return Event.objects.create(
        type=type_,
        at=at,
        instance=instance,
        job=job,
        actor_kind=actor.kind,
        actor_name=actor.name[:255],
        request_id=request_id or current_request_id.get() or (job.request_id if job else ""),
        reason=reason[:1000],
        before=before or {},
        after=after or {},
        told=not telling_of(type_).is_told,
    )
