from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instances import operations
from instances.admin.event import timeline
from instances.admin.instance_filters import FILTERS
from instances.admin.instance_form import InstanceForm
from instances.admin.job import JobInline
from instances.admin.looking import ActingAdmin, actor_of, badge, in_one_line, link_to, name_of, two_lines
from instances.admin.machine import MachineInline, price_of
from instances.admin.verb_page import AT_ONCE, ask_verb, verbs_for
from instances.lifecycle import Phase, Wanted
from instances.models import Instance
from instances.models.instance import InstanceQuerySet
from instances.operations import OperationRefused
from instances.operations.settings import SETTINGS
from instances.person_verbs import VERBS
from instances.scopes import may, scope_of_verb
from instances.story import who
from instances.tones import tone_of_phase
from instances.words import clock, relative, usd

_SHOWN = ["next_text", "wish", "what_and_where", "machine_link", "money", "used", "observed"]
_ASKED_FOR = [
    *["product_name", "product_id", "gpu_num", "rootfs_size_gb", "regions", "billing_mode", "network_storages"],
    *["template_id", "image_url", "ports", "command", "entrypoint", "tools", "min_cuda_version", "wait_for_capacity"],
]
_LIFE = [
    *["managed", "created_at", "ready_at", "last_used_at", "phase_since", "ended_at", "failure", "overdue"],
    *["health_state", "health_detail", "health_checked_at"],
]


# Phases that need no word about the wish behind them.
_ON_THE_WAY_TO = {
    Wanted.RUNNING: frozenset(Phase) - {Phase.STOPPING, Phase.STOPPED, Phase.DELETING, Phase.DELETED},
    Wanted.STOPPED: frozenset({Phase.STOPPING, Phase.STOPPED}),
    Wanted.DELETED: frozenset({Phase.DELETING, Phase.DELETED}),
}


Action = Callable[["InstanceAdmin", HttpRequest, QuerySet[Instance]], HttpResponse | None]


def _verb(name: str) -> Action:
    """The action of a verb: it needs the scope that everybody needs for it, and asks before it acts."""
    label = VERBS[name].label if name == AT_ONCE else f"{VERBS[name].label}…"

    def ask(model_admin: "InstanceAdmin", request: HttpRequest, instances: QuerySet[Instance]) -> HttpResponse | None:
        return ask_verb(model_admin, request, name, instances)

    ask.__name__ = name.replace("-", "_")
    action: Action = admin.action(description=label, permissions=[scope_of_verb(name)])(ask)
    return action


@admin.register(Instance)
class InstanceAdmin(ActingAdmin):
    form = InstanceForm
    list_display = ["title", "shown_phase_and_wish", "what_and_where", "money", "used", "next_and_why"]
    list_filter = FILTERS
    search_fields = ["name", "owner", "machine__novita_id", "machine__region", "product_name", "id"]
    actions = ["start", "stop", "restart", "keep_awake", "migrate", "adopt", "release", "delete"]
    inlines = [MachineInline, JobInline]
    change_form_outer_before_template = "admin/instances/verbs.html"
    fieldsets = [
        ("Story", {"classes": ["tab"], "fields": ["story"]}),
        ("Settings", {"classes": ["tab"], "fields": [*SETTINGS, "reason"]}),
        ("Asked for", {"classes": ["tab"], "fields": _ASKED_FOR}),
        ("Life", {"classes": ["tab"], "fields": _LIFE}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> InstanceQuerySet:
        instances: InstanceQuerySet = super().get_queryset(request).for_display()
        return instances.defer("envs", "machine__connection")

    def get_readonly_fields(self, request: HttpRequest, obj: Instance | None = None) -> list[str]:
        observed = ["story", *_ASKED_FOR, *_LIFE]
        return observed if _may_be_set(obj) else [*observed, *SETTINGS]

    def get_fieldsets(self, request: HttpRequest, obj: Instance | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if _may_be_set(obj) and self.has_change_permission(request, obj):
            return fieldsets
        without_reason = ("Settings", {"classes": ["tab"], "fields": list(SETTINGS)})
        return [without_reason if name == "Settings" else (name, options) for name, options in fieldsets]

    # What is shown.

    @admin.display(description="instance", ordering="name")
    def title(self, instance: Instance) -> SafeString:
        name = format_html("<bdi>{}</bdi>", name_of(instance))
        care = "" if instance.managed else "not managed"
        if instance.protected:
            care = "protected"
        tags = format_html('<span class="tag">{}</span> ', care) if care else ""
        return two_lines(name, format_html("{}<bdi>{}</bdi>", tags, instance.owner))

    @admin.display(description="phase", ordering="phase")
    def shown_phase(self, instance: Instance) -> SafeString:
        return badge(instance.phase, tone_of_phase(instance.phase))

    @admin.display(description="phase", ordering="phase")
    def shown_phase_and_wish(self, instance: Instance) -> SafeString:
        differs = instance.wanted and instance.phase not in _ON_THE_WAY_TO[Wanted(instance.wanted)]
        return two_lines(self.shown_phase(instance), in_one_line(f"wanted {instance.wanted}") if differs else "")

    @admin.display(description="what and where", ordering="product_name")
    def what_and_where(self, instance: Instance) -> SafeString:
        machine = instance.machine
        billing = (machine.billing_mode if machine else "") or instance.billing_mode
        where = f"{self.region(instance)} \u00b7 {billing.replace('_', '-')}"
        return two_lines(in_one_line(self.product(instance)), where)

    @admin.display(description="cost", ordering="machine__price_usd_per_hour")
    def money(self, instance: Instance) -> SafeString:
        price = self.price(instance)
        return two_lines(self.cost(instance), "no price yet" if price == "-" else f"{price}/h")

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, instance: Instance) -> SafeString | str:
        return in_one_line(relative(instance.last_used_at, timezone.now())) if instance.last_used_at else "never"

    @admin.display(description="next")
    def next_and_why(self, instance: Instance) -> SafeString | str:
        action = instance.next_action
        return "-" if action is None else two_lines(self.next_short(instance), action.get("why", ""))

    @admin.display(description="region", ordering="machine__region")
    def region(self, instance: Instance) -> str:
        region = (instance.machine.region if instance.machine else "") or ", ".join(map(str, instance.regions))
        return region or "no region yet"

    @admin.display(description="product", ordering="product_name")
    def product(self, instance: Instance) -> str:
        name = (instance.machine.product_name if instance.machine else "") or instance.product_name or instance.product_id
        return f"{instance.gpu_num} \u00d7 {name}" if instance.gpu_num > 1 else name

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
        return in_one_line(f"{what} {relative(max(at, now), now)}" if at else what)

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
            "facts": self._facts(instance),
            "phase": self.shown_phase(instance) if instance else "",
            "verbs_address": reverse("admin:instances_instance_changelist"),
            **(extra_context or {}),
        }
        try:
            response: HttpResponse = super().change_view(request, object_id, form_url, context)
        except OperationRefused as refusal:
            messages.error(request, f"Not saved: {refusal.detail}.")
            return HttpResponseRedirect(request.path)
        return response

    def _facts(self, instance: Instance | None) -> list[tuple[str, object]]:
        """What its page says first, by the names of the columns of the list."""
        if instance is None:
            return []
        shown = [getattr(self, name) for name in _SHOWN]
        return [(one.short_description, one(instance)) for one in shown]

    def _verb_choices(self, request: HttpRequest, instance: Instance | None) -> list[tuple[str, str]]:
        if instance is None:
            return []
        return [
            (name.replace("-", "_"), VERBS[name].label)
            for name in verbs_for(instance)
            if may(request.user, scope_of_verb(name))
        ]

    # What is asked for.

    start = _verb("start")
    stop = _verb("stop")
    restart = _verb("restart")
    keep_awake = _verb("keep-awake")
    migrate = _verb("migrate")
    adopt = _verb("adopt")
    release = _verb("release")
    delete = _verb("delete")


def _may_be_set(instance: Instance | None) -> bool:
    return instance is not None and instance.managed and not instance.has_ended
