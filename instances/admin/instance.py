from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from instances import operations
from instances.admin.event import timeline
from instances.admin.instance_form import InstanceForm
from instances.admin.job import JobInline
from instances.admin.looking import actor_of, ask_each, link_to
from instances.admin.machine import MachineInline, price_of
from instances.lifecycle import BILLED
from instances.models import Instance
from instances.models.instance import InstanceQuerySet
from instances.operations import OperationRefused
from instances.operations.settings import SETTINGS
from instances.person_verbs import VERBS, offered
from instances.story import who
from instances.words import clock, relative, usd, usd_per_hour

PHASE_LABELS = {
    "ready": "success",
    "failed": "danger",
    "gone": "danger",
    "unhealthy": "danger",
    "unknown": "warning",
    "reclaiming": "warning",
    **dict.fromkeys(("requested", "creating", "pulling", "starting", "checking"), "info"),
    **dict.fromkeys(("stopping", "restarting", "migrating", "deleting"), "info"),
}
_SHOWN = ["shown_phase", "phase_reason", "next_text", "wish", "region", "machine_link", "price", "cost", "observed"]
_ASKED_FOR = [
    *["product_name", "product_id", "gpu_num", "rootfs_size_gb", "regions", "billing_mode", "network_storages"],
    *["template_id", "image_url", "ports", "command", "entrypoint", "tools", "min_cuda_version", "wait_for_capacity"],
]
_LIFE = [
    *["managed", "created_at", "ready_at", "last_used_at", "phase_since", "ended_at", "failure", "overdue"],
    *["health_state", "health_detail", "health_checked_at"],
]


class LivingFilter(admin.SimpleListFilter):
    title = "life"
    parameter_name = "life"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("living", "living"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Instance]) -> QuerySet[Instance]:
        return queryset if self.value() is None else queryset.filter(ended_at__isnull=self.value() == "living")


@admin.register(Instance)
class InstanceAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    form = InstanceForm
    list_display = [
        *["title", "shown_phase", "region", "product", "price", "cost", "wanted", "owner", "next_short", "care"],
    ]
    list_filter = [LivingFilter, "phase", "managed", "billing_mode", "protected", "wanted", "owner"]
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["name", "owner", "machine__novita_id", "machine__region", "product_name", "id"]
    date_hierarchy = "created_at"
    actions = ["start", "stop", "restart", "keep_awake", "adopt", "release", "delete"]
    inlines = [MachineInline, JobInline]
    change_form_outer_before_template = "admin/instances/verbs.html"
    fieldsets = [
        (None, {"fields": _SHOWN}),
        ("Settings", {"classes": ["tab"], "fields": [*SETTINGS, "reason"]}),
        ("Story", {"classes": ["tab"], "fields": ["story"]}),
        ("Asked for", {"classes": ["tab"], "fields": _ASKED_FOR}),
        ("Life", {"classes": ["tab"], "fields": _LIFE}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A row is never deleted here: `delete` is a verb, and its story stays."""
        return False

    def get_queryset(self, request: HttpRequest) -> InstanceQuerySet:
        instances: InstanceQuerySet = super().get_queryset(request).for_display()
        return instances.defer("envs", "machine__connection")

    def get_readonly_fields(self, request: HttpRequest, obj: Instance | None = None) -> list[str]:
        observed = [*_SHOWN, "story", *_ASKED_FOR, *_LIFE]
        return observed if _may_be_set(obj) else [*observed, *SETTINGS]

    def get_fieldsets(self, request: HttpRequest, obj: Instance | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if _may_be_set(obj) and self.has_change_permission(request, obj):
            return fieldsets
        without_reason = ("Settings", {"classes": ["tab"], "fields": list(SETTINGS)})
        return [without_reason if name == "Settings" else (name, options) for name, options in fieldsets]

    # What is shown.

    @admin.display(description="instance", ordering="name")
    def title(self, instance: Instance) -> str:
        novita_id = (instance.machine.novita_id if instance.machine else None) or str(instance.pk)
        return instance.name or f"(no name, {novita_id})"

    @admin.display(description="care", ordering="managed")
    def care(self, instance: Instance) -> str:
        if not instance.managed:
            return "not managed"
        return "protected" if instance.protected else "managed"

    @display(description="phase", ordering="phase", label=PHASE_LABELS)  # type: ignore[untyped-decorator]
    def shown_phase(self, instance: Instance) -> str:
        return instance.phase

    @admin.display(description="region", ordering="machine__region")
    def region(self, instance: Instance) -> SafeString:
        region = (instance.machine.region if instance.machine else "") or ", ".join(map(str, instance.regions))
        return _in_one_line(region or "-")

    @admin.display(description="product", ordering="product_name")
    def product(self, instance: Instance) -> SafeString:
        name = (instance.machine.product_name if instance.machine else "") or instance.product_name or instance.product_id
        return _in_one_line(f"{instance.gpu_num} \u00d7 {name}" if instance.gpu_num > 1 else name)

    @admin.display(description="$/h", ordering="machine__price_usd_per_hour")
    def price(self, instance: Instance) -> str:
        return price_of(instance.machine)

    @admin.display(description="cost so far")
    def cost(self, instance: Instance) -> str:
        return usd(instance.cost_usd(timezone.now()))

    @admin.display(description="wanted", ordering="wanted")
    def wish(self, instance: Instance) -> str:
        if not instance.wanted:
            return "-"
        return f"{instance.wanted}, by {who(instance.wanted_by_kind, instance.wanted_by_name)}"

    @admin.display(description="next")
    def next_short(self, instance: Instance) -> SafeString | str:
        action, now = instance.next_action, timezone.now()
        if action is None:
            return "-"
        at = parse_datetime(str(action.get("at") or ""))
        what = str(action.get("what", "")).replace("_", " ")
        return _in_one_line(f"{what} {relative(max(at, now), now)}" if at else what)

    @admin.display(description="next")
    def next_text(self, instance: Instance) -> SafeString | str:
        action = instance.next_action
        return "-" if action is None else format_html("{}: {}", self.next_short(instance), action.get("why", ""))

    @admin.display(description="machine")
    def machine_link(self, instance: Instance) -> SafeString | str:
        return link_to(instance.machine)

    @admin.display(description="last read that changed it")
    def observed(self, instance: Instance) -> str:
        return clock(instance.machine.observed_at) if instance.machine and instance.machine.observed_at else "-"

    @admin.display(description="newest first")
    def story(self, instance: Instance) -> SafeString | str:
        return timeline(instance)

    # What is changed.

    def save_model(self, request: HttpRequest, obj: Instance, form: InstanceForm, change: bool) -> None:
        """Through the operation, which locks the row, writes the event and refuses what may not be."""
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in SETTINGS}
        operations.change_settings(
            obj.pk,
            changes,
            actor=actor_of(request),
            reason=form.cleaned_data.get("reason", ""),
            now=timezone.now(),
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        instance = self.get_object(request, object_id)
        context = {
            "verb_choices": self._verb_choices(request, instance),
            "verbs_address": reverse("admin:instances_instance_changelist"),
            **(extra_context or {}),
        }
        try:
            response: HttpResponse = super().change_view(request, object_id, form_url, context)
        except OperationRefused as refusal:
            messages.error(request, f"Not saved: {refusal.detail}.")
            return HttpResponseRedirect(request.path)
        return response

    def _verb_choices(self, request: HttpRequest, instance: Instance | None) -> list[tuple[str, str]]:
        if instance is None or not self.has_change_permission(request, instance):
            return []
        return [(name.replace("-", "_"), VERBS[name].label) for name in offered(instance)]

    # What is asked for.

    @admin.action(description="Start", permissions=["change"])
    def start(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return self._ask("start", request, instances)

    @admin.action(description="Stop", permissions=["change"])
    def stop(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return self._ask("stop", request, instances)

    @admin.action(description="Restart", permissions=["change"])
    def restart(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return self._ask("restart", request, instances)

    @admin.action(description="Keep awake", permissions=["change"])
    def keep_awake(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return self._ask("keep-awake", request, instances)

    @admin.action(description="Adopt", permissions=["change"])
    def adopt(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return self._ask("adopt", request, instances)

    @admin.action(description="Release", permissions=["change"])
    def release(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return self._ask("release", request, instances)

    @admin.action(description="Delete for good…", permissions=["change"])
    def delete(self, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        """First a page that names what it costs and what is lost."""
        if request.POST.get("confirmed") == "yes":
            return self._ask("delete", request, instances)
        chosen = list(instances)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": f"Delete {len(chosen)} for good?" if len(chosen) != 1 else f"Delete {chosen[0]} for good?",
            "consequence": "They end at Novita with everything on their local disks; billing ends when Novita shows them "
            "gone. This cannot be taken back. Network storages stay.",
            "lines": list(map(_what_a_delete_ends, chosen)),
            "selected": [one.pk for one in chosen],
            "action": "delete",
            "confirm": "Yes, delete for good",
            "back": reverse("admin:instances_instance_changelist"),
        }
        return TemplateResponse(request, "admin/ask.html", context)

    def _ask(self, name: str, request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        verb = VERBS[name]
        ask = partial(verb.ask, actor=actor_of(request), reason="asked for in the admin", now=timezone.now())
        chosen = list(instances)
        ask_each(request, chosen, lambda one: ask(one.pk), verb.asked)
        if request.POST.get("back") == "object" and len(chosen) == 1:
            return HttpResponseRedirect(_address(chosen[0].pk))
        return None


def _in_one_line(text: str) -> SafeString:
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def _address(instance_id: UUID) -> str:
    return reverse("admin:instances_instance_change", args=[instance_id])


def _may_be_set(instance: Instance | None) -> bool:
    return instance is not None and instance.managed and not instance.has_ended


def _what_a_delete_ends(instance: Instance) -> str:
    machine, now = instance.machine, timezone.now()
    billed = machine is not None and instance.observed in BILLED
    price = usd_per_hour(machine.price_usd_per_hour) if machine else ""
    rate = f"billed {price} per hour now" if billed and price else "not billed for its GPU now"
    data = "its local data is PRECIOUS" if instance.local_data == "precious" else "its local data is disposable"
    return f"{instance}: {instance.phase}, {rate}, {usd(instance.cost_usd(now))} so far; {data}"
