"""Times as people read them: relative, with the exact one a touch away; the page's script keeps them current."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instances import words
from instances.api.times import rfc3339
from instances.person_verbs import VERBS

register = template.Library()


@register.simple_tag(takes_context=True)
def moment(context: dict[str, Any], at: datetime | None, empty: str = "") -> SafeString | str:
    """`5 min ago` by the page's `now`."""
    if at is None:
        return empty
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        rfc3339(at),
        words.clock(at),
        words.relative(at, context["now"]),
    )


@register.simple_tag(takes_context=True)
def due(context: dict[str, Any], at: datetime | None) -> SafeString | str:
    """As `moment`, for what is yet to happen: a time that has passed is due now."""
    if at is None:
        return ""
    shown = words.relative(max(at, context["now"]), context["now"])
    return format_html('<time datetime="{}" title="{}" data-relative="due">{}</time>', rfc3339(at), words.clock(at), shown)


@register.filter
def day_and_time(at: datetime) -> SafeString:
    shown = f"{at.astimezone(UTC):%d %b %H:%M:%S}"
    return format_html('<time datetime="{}" title="{}">{}</time>', rfc3339(at), words.clock(at), shown)


@register.filter
def time_of_day(at: datetime) -> SafeString:
    shown = f"{at.astimezone(UTC):%H:%M:%S}"
    return format_html('<time datetime="{}" title="{}">{}</time>', rfc3339(at), words.clock(at), shown)


@register.filter
def clock(at: datetime) -> str:
    return words.clock(at)


@register.filter
def span(length: timedelta) -> str:
    return words.span(length)


@register.filter
def verb_label(name: str) -> str:
    return VERBS[name].label
