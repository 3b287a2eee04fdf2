from collections.abc import Iterable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter

from instances.admin.looking import LookOnlyAdmin, in_one_line, link_to, moment, two_lines
from instances.models import Event, Instance
from instances.story import Told, sentence, who
from instances.words import clock

TIMELINE_LINES = 60


def told(event: Event) -> str:
    return sentence(
        Told(
            type=event.type,
            actor_kind=event.actor_kind,
            actor_name=event.actor_name,
            reason=event.reason,
            before=event.before,
            after=event.after,
        )
    )


def timeline(instance: Instance) -> SafeString | str:
    """The newest events of an instance, one line each."""
    return story_lines(instance.events.all()[:TIMELINE_LINES])


def story_lines(events: Iterable[Event]) -> SafeString | str:
    lines = format_html_join(
        "",
        '<span class="when" title="{}">{}</span><span>{}<small>{}</small></span><span class="by">{}</span>',
        (
            (clock(one.at), f"{one.at:%d %b %H:%M:%S}", told(one), one.reason, who(one.actor_kind, one.actor_name))
            for one in events
        ),
    )
    return format_html('<div class="story-lines">{}</div>', lines) if lines else "-"


@admin.register(Event)
class EventAdmin(LookOnlyAdmin):
    list_display = ["when", "what", "actor", "instance_link"]
    list_display_links = ["when"]
    list_filter = [("actor_kind", AllValuesCheckboxFilter), ("type", AllValuesCheckboxFilter)]
    list_select_related = ["instance"]
    search_fields = ["type", "actor_name", "request_id", "reason", "instance__name"]
    date_hierarchy = "at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events: QuerySet[Event] = super().get_queryset(request).defer("instance__envs")
        return events

    @admin.display(description="when (UTC)", ordering="id")
    def when(self, event: Event) -> SafeString | str:
        return moment(event.at)

    @admin.display(description="what happened", ordering="type")
    def what(self, event: Event) -> SafeString:
        return two_lines(told(event), event.reason)

    @admin.display(description="who", ordering="actor_name")
    def actor(self, event: Event) -> SafeString:
        return in_one_line(who(event.actor_kind, event.actor_name))

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, event: Event) -> SafeString | str:
        return link_to(event.instance)
