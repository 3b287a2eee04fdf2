"""The page of one instance: its facts, its story, and what a person may ask of it."""

from datetime import datetime
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from instances.models import Instance
from novita_manager.pages.access import changed_part, etag_of, needs
from novita_manager.pages.instance_story import InstanceStory, read_story
from novita_manager.roles import may


@require_GET
@needs("read")
def page(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    now = timezone.now()
    story = _story_or_404(request, instance_id, now)
    context = {"story": story, "now": now, "etag": etag_of(story), "may_act": may(request.user, "operate")}
    return render(request, "instance/page.html", context)


@require_GET
@needs("read")
def live(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """The part of an instance's page that changes."""
    now = timezone.now()
    story = _story_or_404(request, instance_id, now)
    return changed_part(request, "instance/live.html", {"story": story}, etag=etag_of(story), now=now)


def _story_or_404(request: HttpRequest, instance_id: UUID, now: datetime) -> InstanceStory:
    try:
        return read_story(instance_id, now, may_act=may(request.user, "operate"))
    except Instance.DoesNotExist:
        raise Http404 from None
