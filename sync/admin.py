"""To look at, not to change: what each comparison with Novita found and did."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from instances.admin.looking import LookOnlyAdmin
from instances.story import who
from sync.models import SyncRun


@admin.register(SyncRun)
class SyncRunAdmin(LookOnlyAdmin):
    list_display = ["started_at", "trigger", "asked_by", "dry_run", "complete", "seen", "found", "problem", "finished_at"]
    list_filter = ["trigger", "complete", "dry_run"]
    date_hierarchy = "started_at"
    search_fields = ["actor_name", "problem"]
    exclude = ["changes", "counts"]
    readonly_fields = ["found", "changes_in_words"]

    @admin.display(description="asked by", ordering="actor_name")
    def asked_by(self, run: SyncRun) -> str:
        return who(run.actor_kind, run.actor_name)

    @admin.display(description="found")
    def found(self, run: SyncRun) -> str:
        return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in run.counts.items()) or "no difference"

    @admin.display(description="changes")
    def changes_in_words(self, run: SyncRun) -> SafeString | str:
        lines = ((one.get("novita_id", ""), one.get("kind", ""), one.get("reason", "")) for one in run.changes)
        return format_html_join("", "<div><b>{}</b> {}: {}</div>", lines) or "-"
