"""To look at, not to change: each reclaim of a spot instance, from the first sign to what became of it."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter

from instances.admin.looking import LookOnlyAdmin, badge, moment, two_lines
from instances.models import Reclaim
from instances.reclaims import story_of
from instances.words import usd_per_hour


@admin.register(Reclaim)
class ReclaimAdmin(LookOnlyAdmin):
    list_display = ["seen", "instance", "standing", "next_step", "tried", "price"]
    list_filter = [("state", AllValuesCheckboxFilter), ("outcome", AllValuesCheckboxFilter)]
    date_hierarchy = "seen_at"
    search_fields = ["instance__name", "novita_id_before", "novita_id_after"]
    list_select_related = ["instance", "machine"]
    exclude = ["tries", "evidence"]
    readonly_fields = ["whole_story", "tries_in_words"]

    @admin.display(description="seen at (UTC)", ordering="seen_at")
    def seen(self, reclaim: Reclaim) -> SafeString | str:
        return moment(reclaim.seen_at)

    @admin.display(description="state", ordering="state")
    def standing(self, reclaim: Reclaim) -> SafeString:
        tone = {"done": "good", "failed": "bad"}.get(reclaim.state, "moving")
        return two_lines(badge(reclaim.state, tone), reclaim.outcome.replace("_", " "))

    @admin.display(description="next", ordering="next_at")
    def next_step(self, reclaim: Reclaim) -> SafeString | str:
        return two_lines(moment(reclaim.next_at), reclaim.reason) if reclaim.is_open else "-"

    @admin.display(description="tries")
    def tried(self, reclaim: Reclaim) -> int:
        return len(reclaim.tries)

    @admin.display(description="$ per hour, before and after")
    def price(self, reclaim: Reclaim) -> str:
        before, after = reclaim.price_before_usd_per_hour, reclaim.price_after_usd_per_hour
        return f"{usd_per_hour(before) or '?'}, {usd_per_hour(after) or '-'}"

    @admin.display(description="story")
    def whole_story(self, reclaim: Reclaim) -> str:
        return story_of(reclaim)

    @admin.display(description="tries")
    def tries_in_words(self, reclaim: Reclaim) -> SafeString | str:
        lines = ((one["at"], one["verb"], one["outcome"] or "under way", one["detail"]) for one in reclaim.tries)
        return format_html_join("", "<div>{} <b>{}</b> {}: {}</div>", lines) or "-"
