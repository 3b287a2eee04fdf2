"""To look at, not to change: what each comparison with Novita found and did."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, BooleanRadioFilter

from instances.admin.looking import LookOnlyAdmin, badge, moment, two_lines
from instances.story import who
from instances.words import span
from sync.models import SyncRun


@admin.register(SyncRun)
class SyncRunAdmin(LookOnlyAdmin):
    list_display = ["started", "asked_by", "outcome", "seen", "found", "took"]
    list_filter = [("trigger", AllValuesCheckboxFilter), ("complete", BooleanRadioFilter), ("dry_run", BooleanRadioFilter)]
    date_hierarchy = "started_at"
    search_fields = ["actor_name", "problem"]
    exclude = ["changes", "counts"]
    readonly_fields = ["found", "changes_in_words"]

    @admin.display(description="started at (UTC)", ordering="started_at")
    def started(self, run: SyncRun) -> SafeString | str:
        return moment(run.started_at)

    @admin.display(description="by", ordering="actor_name")
    def asked_by(self, run: SyncRun) -> SafeString:
        return two_lines(run.trigger, who(run.actor_kind, run.actor_name))

    @admin.display(description="outcome", ordering="complete")
    def outcome(self, run: SyncRun) -> SafeString:
        if run.finished_at is None:
            return badge("under way", "moving")
        state = badge("complete", "good") if run.complete else badge("not believed", "bad")
        return two_lines(badge("rehearsed", "still") if run.dry_run else state, run.problem)

    @admin.display(description="took")
    def took(self, run: SyncRun) -> str:
        return span(run.finished_at - run.started_at) if run.finished_at else "-"

    @admin.display(description="found")
    def found(self, run: SyncRun) -> str:
        return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in run.counts.items()) or "no difference"

    @admin.display(description="changes")
    def changes_in_words(self, run: SyncRun) -> SafeString | str:
        lines = ((one.get("novita_id", ""), one.get("kind", ""), one.get("reason", "")) for one in run.changes)
        return format_html_join("", "<div><b>{}</b> {}: {}</div>", lines) or "-"
