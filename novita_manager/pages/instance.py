"""The page of one instance: what it is and why, what may be asked of it, and its story."""

from datetime import datetime
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from instances.api.live_reads import LOG_SOURCES
from instances.models import Instance
from instances.scopes import scopes_of
from novita_manager.pages.access import changed_part, etag_of, needs
from novita_manager.pages.charts import SPANS, cost_chart_of
from novita_manager.pages.connection import TAILS
from novita_manager.pages.instance_story import InstanceStory, read_story
from novita_manager.pages.parts import instance_or_404
from novita_manager.pages.story_lines import story_page
from novita_manager.pages.verb_panel import ALL_VERBS


@require_GET
@needs("read")
def page(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    now = timezone.now()
    story = _story_or_404(request, instance_id, now)
    context = {
        "story": story,
        "now": now,
        "etag": etag_of(story),
        "verbs": ALL_VERBS,
        "chart": cost_chart_of(instance_or_404(instance_id), now),
        "spans": SPANS.items(),
        "log_sources": LOG_SOURCES,
        "tails": TAILS,
    }
    return render(request, "instance/page.html", context)


@require_GET
@needs("read")
def live(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """The parts of an instance's page that change."""
    now = timezone.now()
    story = _story_or_404(request, instance_id, now)
    return changed_part(request, "instance/live.html", lambda: {"story": story}, etag=etag_of(story), now=now)


@require_GET
@needs("read")
def older(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """The story before an event."""
    instance = instance_or_404(instance_id)
    before = request.GET.get("before", "")
    if not (before.isascii() and before.isdigit() and len(before) < 19):
        raise Http404
    context = {"instance": instance, "story": story_page(instance_id, before=int(before)), "now": timezone.now()}
    return render(request, "instance/older.html", context)


def _story_or_404(request: HttpRequest, instance_id: UUID, now: datetime) -> InstanceStory:
    try:
        return read_story(instance_id, now, scopes=scopes_of(request.user))
    except Instance.DoesNotExist:
        raise Http404 from None
