"""Times as people read them: relative, with the exact one a touch away; the page's script keeps them current."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from instances import words
from instances.api.times import rfc3339
from instances.person_verbs import VERBS
from instances.story import who
from novita_manager.pages.fleet_query import FleetQuery
from novita_manager.pages.fleet_snapshot import Cost
from novita_manager.pages.keeping import cost_of

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
def per_hour(price: Decimal) -> str:
    return words.usd_per_hour(price)


@register.simple_tag(takes_context=True)
def cost_until(context: dict[str, Any], price: Decimal, until: datetime) -> str:
    """What is billed from the page's `now` on; on a page that stays open it is the most."""
    return cost_of(price, until - context["now"])


@register.filter
def verb_label(name: str) -> str:
    return VERBS[name].label


@register.simple_tag(takes_context=True)
def money(context: dict[str, Any], cost: Cost) -> SafeString:
    """A meter: what stands on it by the page's `now`; the page's script lets a running one run on."""
    shown = words.usd(cost.at(context["now"]))
    if cost.since is None or not cost.usd_per_hour:
        return format_html("<span>{}</span>", shown)
    return format_html(
        '<span data-closed="{}" data-per-hour="{}" data-since="{}">{}</span>',
        f"{cost.closed_usd:f}",
        f"{cost.usd_per_hour:f}",
        rfc3339(cost.since),
        shown,
    )


@register.simple_tag
def actor(kind: str, name: str) -> str:
    return who(kind, name)


@register.simple_tag
def page_address(query: FleetQuery, step: int) -> str:
    return query.address(page=query.page + step)


@register.simple_tag
def column(query: FleetQuery, names: str, kind: str = "") -> SafeString:
    """A column's head, `name:Label` for each thing in it to sort by; a second time, the other way round."""
    pairs = [pair.split(":") for pair in names.split()]
    orders = {name: {name: "ascending", f"-{name}": "descending"}.get(query.sort, "none") for name, _ in pairs}
    links = format_html_join(
        " ",
        '<a href="{}{}" class="{}">{}</a>',
        ((reverse("fleet"), query.sorted_by(name), orders[name], label) for name, label in pairs),
    )
    order = next((one for one in orders.values() if one != "none"), "none")
    return format_html('<th scope="col" class="{}" aria-sort="{}">{}</th>', kind, order, links)
