"""What opens an instance, and its container's log: both for who may see secrets, both leave an event, neither is kept."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from instances.api.live_reads import LOG_SOURCES, log_tail
from instances.api.problems import Problem
from instances.api.ways_in import reveal as reveal_ways_in
from instances.operations import WrongPhase
from novita_manager.pages.access import actor_of, needs
from novita_manager.pages.parts import instance_or_404, part

TAILS = (200, 1000, 2000)


@require_POST
@needs("read")
@needs("secrets")
def reveal(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Passwords, addresses with tokens and the environment."""
    instance = instance_or_404(instance_id)
    shown = reveal_ways_in(instance, actor=actor_of(request), now=timezone.now())
    return part(request, "instance/revealed.html", {"instance": instance, "ways": shown}, title="Passwords and environment")


@require_POST
@needs("read")
@needs("secrets")
def log(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """The end of the container's own log, or in words why it cannot be read now."""
    now, instance = timezone.now(), instance_or_404(instance_id)
    source = request.POST.get("source", "")
    tail = request.POST.get("tail", "")
    source = source if source in LOG_SOURCES else LOG_SOURCES[0]
    lines = int(tail) if tail in map(str, TAILS) else TAILS[0]
    context: dict[str, Any] = {"instance": instance, "source": source, "now": now}
    status = 200
    try:
        read = log_tail(instance, source=source, lines=lines, actor=actor_of(request), now=now)
        context |= {"text": read["text"], "complete": read["complete"], "read_at": parse_datetime(read["read_at"])}
    except WrongPhase as refusal:
        context["problem"], status = f"No log: {refusal.detail}.", refusal.status
    except Problem as problem:
        context["problem"], status = f"{problem.detail}.", problem.status_code
    return part(request, "instance/log.html", context, title="Log", status=status)
