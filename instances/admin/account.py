"""The account and what processes share towards Novita: to look at."""

from django.contrib import admin

from instances.admin.looking import LookOnlyAdmin
from instances.models import PeriodicWork, ProviderAccount, ProviderBreaker, ProviderPace, RunningInterval


@admin.register(ProviderAccount)
class ProviderAccountAdmin(LookOnlyAdmin):
    list_display = ["name", "balance_usd", "balance_read_at", "complete_list_at", "list_total", "frozen_since"]


@admin.register(PeriodicWork)
class PeriodicWorkAdmin(LookOnlyAdmin):
    list_display = ["name", "next_due_at", "started_at", "finished_at", "succeeded_at", "lease_until", "detail"]
    search_fields = ["name"]


@admin.register(ProviderPace)
class ProviderPaceAdmin(LookOnlyAdmin):
    list_display = ["__str__", "state", "version"]


@admin.register(ProviderBreaker)
class ProviderBreakerAdmin(LookOnlyAdmin):
    list_display = ["kind", "state", "changed_at", "version"]


@admin.register(RunningInterval)
class RunningIntervalAdmin(LookOnlyAdmin):
    list_display = ["machine", "started_at", "ended_at", "price_usd_per_hour"]
    list_select_related = ["machine"]
    search_fields = ["machine__novita_id", "machine__instance__name"]
    date_hierarchy = "started_at"
